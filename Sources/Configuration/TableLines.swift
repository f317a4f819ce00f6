/// Where in a file the options of its arrays of tables are, `[[retention]]` and `[[upstream]]`: TOMLKit doesn't say.
struct TableLines {
    private let lines: [Substring]

    init(_ text: String) { lines = text.split(separator: "\n", omittingEmptySubsequences: false) }

    /// - Returns: the number of the line at which each table of an array begins; empty when they aren't written as such.
    func tables(_ name: String) -> [Int] {
        lines.indices.filter { lines[$0].prefixMatch(of: /\s*\[\[\s*([a-z]+)\s*\]\]/)?.1 == name[...] }.map { $0 + 1 }
    }

    /// - Parameter path: of an option, from the top of the file.
    /// - Returns: nil when it is of no such table, or not found.
    func line(of path: [any CodingKey]) -> Int? {
        guard let name = path.first?.stringValue, let number = path.dropFirst().first?.intValue,
            case let tables = tables(name), tables.indices.contains(number)
        else { return nil }
        let begin = tables[number]
        let rest = lines[begin...].prefix { $0.prefixMatch(of: /\s*\[/) == nil }
        guard path.count > 2, let option = path.last?.stringValue,
            let line = rest.firstIndex(where: { line in
                let words = line.drop { $0 == " " || $0 == "\t" || $0 == "\"" }
                return words.hasPrefix(option)
                    && words.dropFirst(option.count).drop { $0 == " " || $0 == "\"" }.first == "="
            })
        else { return begin }
        return line + 1
    }
}
