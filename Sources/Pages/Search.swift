import ShaCache

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

    /// A requirement of Python's, with `pypi:` before it or not: `name`, `name==version`, `name=version`, `name (version)`,
    /// `name[extra]==version`.
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
