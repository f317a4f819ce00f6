import ShaCache

/// What somebody may mean by what he typed.
struct Search {
    /// Keys that deployed clients make of it, each with what that is.
    private(set) var keys: [(what: String, key: Key)] = []
    /// What keys may begin with.
    private(set) var beginnings: [String] = []
    /// The names between which a blob's lies whose beginning was typed.
    private(set) var blobs: (first: Digest, last: Digest)?

    /// In bytes.
    static let lengthLimit = 2 * Key.lengthLimit

    init(_ text: String) {
        add("the key itself", try? Key(text))
        if text.contains("://") {
            add("the source archive at this URL", Key.source(url: text))
            add("the software release at this URL", Key.softwareRelease(url: text))
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

    /// `name=version`, `name==version`, with `pypi:` before it or not; or a name alone.
    private mutating func lookForPython(_ text: String) {
        let text = text.hasPrefix("pypi:") ? String(text.dropFirst(5)) : text
        guard let match = text.wholeMatch(of: /([A-Za-z0-9][A-Za-z0-9._-]*)(?: *={1,3} *([^=\s]+))?/) else { return }
        let (name, version) = (String(match.1), match.2.map(String.init))
        let normalised = Self.normalised(name)
        for name in name == normalised ? [name] : [name, normalised] {
            if let version {
                add("the Python distribution \(name) \(version)", try? Key.python(name: name, version: version))
            } else {
                beginnings.append("pypi:\(name)=")
            }
        }
    }

    /// As PEP 503 has it: one project's names that differ in case and in marks alone.
    private static func normalised(_ name: String) -> String { name.lowercased().replacing(/[-_.]+/, with: "-") }

    /// From eight digits on: fewer would name too many.
    private mutating func lookForHash(_ text: String) {
        let digits = text.lowercased()
        guard (8...128).contains(digits.utf8.count) else { return }
        let missing = 128 - digits.utf8.count
        if let first = Digest(digits + String(repeating: "0", count: missing)),
            let last = Digest(digits + String(repeating: "f", count: missing))
        {
            blobs = (first, last)
        }
    }
}
