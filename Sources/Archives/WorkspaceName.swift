/// How workspaces are called: `.TREE.`, then sixteen hexadecimal digits, so that none belongs to two trees.
enum WorkspaceName {
    private static let digits = Array("0123456789abcdef".utf8)
    private static let count = 16

    private static func prefix(for tree: Path) -> [UInt8] { Array(".".utf8) + tree.bytes + Array(".".utf8) }

    static func new(for tree: Path) -> Path {
        let random = (0..<count).map { _ in digits.randomElement()! }
        return Path([(prefix(for: tree) + random)[...]])
    }

    /// Those that there are.
    static func all(for tree: Path, in root: CInt) -> [Path] {
        let prefix = prefix(for: tree)
        let names = (try? names(in: Path("."), below: root)) ?? []
        return names.filter { name in
            let rest = name.bytes.dropFirst(prefix.count)
            return name.bytes.starts(with: prefix) && rest.count == count && rest.allSatisfy(digits.contains)
        }
    }
}
