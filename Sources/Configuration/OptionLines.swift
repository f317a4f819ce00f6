/// Where in a file its options are: TOMLKit doesn't say.
struct OptionLines {
    private let lines: [Substring]

    init(_ text: String) { lines = text.split(separator: "\n", omittingEmptySubsequences: false) }

    /// - Returns: the number of the line at which each table of an array begins, `[[retention]]` say; empty when they aren't
    ///   written as such.
    func tables(_ name: String) -> [Int] {
        lines.indices.filter { lines[$0].prefixMatch(of: /\s*\[\[\s*([a-z]+)\s*\]\]/)?.1 == name[...] }.map { $0 + 1 }
    }

    private func section(_ name: String) -> Int? {
        lines.firstIndex { $0.prefixMatch(of: /\s*\[\s*([^\[\]\s]+)\s*\]/)?.1 == name[...] }.map { $0 + 1 }
            ?? tables(name).first
    }

    /// - Parameter path: of an option, from the top of the file.
    /// - Returns: nil when it isn't found.
    func line(of path: [any CodingKey]) -> Int? {
        guard let name = path.first?.stringValue else { return nil }
        let option = path.count > 1 ? path.last.flatMap { $0.intValue == nil ? $0.stringValue : nil } : nil
        guard let number = path.dropFirst().first?.intValue else {
            return section(name).map { line(of: option, in: $0) }
        }
        let tables = tables(name)
        return tables.indices.contains(number) ? line(of: option, in: tables[number]) : nil
    }

    /// - Returns: the line at which the table begins, when it doesn't have the option.
    private func line(of option: String?, in begin: Int) -> Int {
        guard let option else { return begin }
        let rest = lines[begin...].prefix { $0.prefixMatch(of: /\s*\[/) == nil }
        let line = rest.firstIndex { line in
            let words = line.drop { $0 == " " || $0 == "\t" || $0 == "\"" }
            return words.hasPrefix(option)
                && words.dropFirst(option.count).drop { $0 == " " || $0 == "\"" }.first == "="
        }
        return line.map { $0 + 1 } ?? begin
    }

    /// For people: `line 7: worker.threads`; without the line where that isn't found.
    ///
    /// - Parameter option: in the table at the path, which need not have it.
    func place(of path: [any CodingKey], option: (any CodingKey)? = nil, saying words: String = "") -> String {
        let names = (path + [option].compactMap { $0 }).filter { $0.intValue == nil }.map(\.stringValue)
        return "\(line(of: path).map { "line \($0): " } ?? "")\(words)\(names.joined(separator: "."))"
    }
}
