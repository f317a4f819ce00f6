import ShaCache
import Storage

extension Pages {
    func search(_ text: String, _ view: View) throws -> PageAnswer {
        guard text.utf8.count <= Search.lengthLimit else { return message(.tooLong, view) }
        let search = Search(text)
        let (exact, alike) = (try exactly(search, view), try alike(search, view))
        let blobs = try search.blobs.map { try self.blobs(from: $0.first, to: $0.last, view) } ?? []
        return render(
            "search", title: "Looking for \(text.shown())", view,
            [
                "q": withoutCredentials(in: text), "typed": text.shown(), "exact": exact, "hasExact": !exact.isEmpty,
                "alike": Array(alike.prefix(Self.mostFound)), "hasAlike": !alike.isEmpty,
                "blobs": Array(blobs.prefix(Self.mostFound)), "hasBlobs": !blobs.isEmpty,
                "moreAlike": alike.count > Self.mostFound, "moreBlobs": blobs.count > Self.mostFound,
                "nothing": exact.isEmpty && alike.isEmpty && blobs.isEmpty,
                "tried": search.keys.map { ["what": $0.what, "key": $0.key.text.shown()] },
                "triedHash": search.blobs != nil, "most": Self.mostFound,
            ])
    }

    private static let mostFound = 20

    private func exactly(_ search: Search, _ view: View) throws -> [Templates.Model] {
        try search.keys.filter { !$0.key.text.hasCredentials }.compactMap { what, key -> Templates.Model? in
            let count =
                try browsing.countEntries(under: key.text, includingHidden: view.visitor.isOperator)
                + browsing.countFetchedEntries(under: key.text)
            return count == 0 ? nil : found(key.text, count).merging(["what": what]) { $1 }
        }
    }

    /// Keys that begin so, each once; and one more than is shown, when there are more.
    private func alike(_ search: Search, _ view: View) throws -> [Templates.Model] {
        var seen = Set(search.keys.map { Array($0.key.text.utf8) })
        return try search.beginnings.flatMap {
            try browsing.keys(
                beginningWith: $0, includingHidden: view.visitor.isOperator,
                limit: Self.mostFound + 1 + search.keys.count)
        }.filter { seen.insert(Array($0.text.utf8)).inserted }.map { found($0.text, $0.entries) }
    }

    /// Those that are stored; or the one that only entries name so far. One more than is shown, when there are more.
    private func blobs(from first: Digest, to last: Digest, _ view: View) throws -> [Templates.Model] {
        let includingHidden = view.visitor.isOperator
        let stored = try browsing.blobs(
            from: first, to: last, includingHidden: includingHidden, limit: Self.mostFound + 1)
        guard stored.isEmpty, first == last else { return stored.map { blobModel($0, view) } }
        let isNamed = try !browsing.entriesNaming(first, includingHidden: includingHidden, limit: 1).isEmpty
        return isNamed ? [absentBlob(first)] : []
    }

    private func found(_ key: String, _ entries: Int) -> Templates.Model {
        ["key": key.shown(), "href": Self.href(ofKey: key), "entries": Format.plural(entries, "entry", "entries")]
    }

    static func href(ofKey key: String) -> String { "\(PageRoute.root)/key?key=\(percentEncoded(key))" }
}

/// What a visitor may mean by a typed text.
struct Search {
    /// Keys that deployed clients make of it, each with what that is.
    private(set) var keys: [(what: String, key: Key)] = []
    /// What keys may begin with, the likeliest first.
    private(set) var beginnings: [String] = []
    /// The names between which a blob's lies whose beginning was typed.
    private(set) var blobs: (first: Digest, last: Digest)?

    /// In bytes.
    static let lengthLimit = 2 * Key.lengthLimit

    init(_ text: String) {
        add("the key itself", try? Key(text))
        lookForOurURL(text)
        if text.contains("://") {
            add("the source archive at this URL", try? Key.source(url: text))
            add("the source archive at this URL, from an older buildout", try? Key.olderSource(url: text))
            add("the software release at this URL", try? Key.softwareRelease(url: text))
        } else {
            lookForPython(text)
        }
        beginnings.append(text)
        lookForHash(text)
    }

    private mutating func add(_ what: String, _ key: Key?) {
        guard let key, !keys.contains(where: { $0.key.text.utf8.elementsEqual(key.text.utf8) }) else { return }
        keys.append((what, key))
    }

    /// Where a client finds a blob or a key, here or on any other server of the protocol, with its host or without.
    private mutating func lookForOurURL(_ text: String) {
        let blob = /(?:https?:\/\/shacache\.[^\/]+|.*\/shacache(?:\/cache)?)\/([0-9A-Fa-f]{128})\/?/
        let key = /(?:https?:\/\/shadir\.[^\/]+|(?:https?:\/\/[^\/]+)?\/(?:shadir|shacache\/dir))\/(.+)/
        if let hash = text.wholeMatch(of: blob)?.1 {
            lookForHash(String(hash))
        } else if let path = text.wholeMatch(of: key)?.1, let name = percentDecoded(Array(path.utf8)) {
            add("the key that this server has at this URL", try? Key(String(decoding: name, as: UTF8.self)))
        }
    }

    /// A requirement of Python's, with `pypi:` before it or not: `name`, `name==version`, `name=version`, `name
    /// (version)`, `name[extra]==version`.
    private mutating func lookForPython(_ text: String) {
        let text = text.hasPrefix("pypi:") ? String(text.dropFirst(5)) : text
        let requirement =
            /([A-Za-z0-9][A-Za-z0-9._-]*)(?: *\[[^\]]*\])?(?: *={1,3} *([^=()\s]+)| *\( *=* *([^=()\s]+) *\))?/
        guard let match = text.wholeMatch(of: requirement) else { return }
        for name in Self.spellings(String(match.1)) {
            if let version = match.2 ?? match.3 {
                add(
                    "the Python distribution \(name) \(version)", try? Key.python(name: name, version: String(version)))
            } else {
                beginnings.append("pypi:\(name)=")
            }
        }
    }

    /// To PyPI (PEP 503), one project's names differ in case and in marks alone, and a key has any of them.
    private static func spellings(_ name: String) -> [String] {
        let others = [name.lowercased(), name].flatMap { name in
            ["-", "_", "."].map { name.replacing(/[-_.]+/, with: $0) }
        }
        return others.reduce(into: [name]) { if !$0.contains($1) { $0.append($1) } }
    }

    /// From eight digits on: fewer would name too many. As many as an MD5 has may be one, of what clients make keys of.
    private mutating func lookForHash(_ text: String) {
        let digits = text.lowercased()
        guard (8...128).contains(digits.utf8.count) else { return }
        let missing = 128 - digits.utf8.count
        guard let first = Digest(digits + String(repeating: "0", count: missing)),
            let last = Digest(digits + String(repeating: "f", count: missing))
        else { return }
        blobs = (first, last)
        guard digits.utf8.count == 32 else { return }
        add("the source archive at the URL with this MD5", try? Key("file-urlmd5:\(digits)"))
        for site in ["slapos", "pypi"] {
            add(
                "the source archive at the URL with this MD5, from an older buildout",
                try? Key("\(site)-buildout-\(digits)"))
        }
        add("the software release at the URL with this MD5", try? Key(digits))
    }
}
