import Glibc

/// A file in the format of Python's ConfigParser, which `slapos.cfg` and buildout profiles share: sections, `name =
/// value` or `name: value`, and values that go on in indented lines.
///
/// Buildout's `name += value` adds a line to the value before. `%(name)s` is replaced by another option of the section.
/// What isn't understood is left alone: most of such a file belongs to other programs.
struct OptionFile {
    struct LocatedValue {
        var value: String
        /// Counted from 1.
        let line: Int
    }

    private var sections: [String: [String: LocatedValue]] = [:]
    /// Duplicate options, by section: the later one counts here, and Python refuses the whole file.
    private(set) var duplicates: [String: [(name: String, line: Int)]] = [:]

    init(_ text: String) {
        var reader = OptionFileParser()
        // To Swift, CR LF is one character, and another than LF.
        let isEnd: (Character) -> Bool = { ["\n", "\r\n", "\r"].contains($0) }
        for (index, line) in text.split(omittingEmptySubsequences: false, whereSeparator: isEnd).enumerated() {
            reader.read(String(line), number: index + 1)
        }
        sections = reader.sections
        duplicates = reader.duplicates
    }

    func has(section: String) -> Bool { sections[section] != nil }

    /// - Parameter name: in lower case.
    func option(_ name: String, in section: String) -> LocatedValue? {
        guard var option = raw(name, in: section) else { return nil }
        option.value = interpolated(option.value, in: section)
        return option
    }

    private func raw(_ name: String, in section: String) -> LocatedValue? {
        sections[section]?[name] ?? sections["DEFAULT"]?[name]
    }

    /// Ten levels deep at most, as ConfigParser; `%%` is a percent sign, and any other one stays.
    private func interpolated(_ value: String, in section: String, depth: Int = 0) -> String {
        guard value.contains("%"), depth < 10 else { return value }
        var result = ""
        var rest = Substring(value)
        while let percent = rest.firstIndex(of: "%") {
            result += rest[..<percent]
            rest = rest[percent...]
            if rest.hasPrefix("%%") {
                result += "%"
                rest = rest.dropFirst(2)
            } else if let reference = rest.prefixMatch(of: /%\(([^)]+)\)s/),
                let option = raw(reference.1.lowercased(), in: section)
            {
                result += interpolated(option.value, in: section, depth: depth + 1)
                rest = rest[reference.range.upperBound...]
            } else {
                result += "%"
                rest = rest.dropFirst()
            }
        }
        return result + rest
    }
}

private struct OptionFileParser {
    var sections: [String: [String: OptionFile.LocatedValue]] = [:]
    var duplicates: [String: [(name: String, line: Int)]] = [:]
    private var section: String?
    private var option: String?
    private var indentation = 0

    mutating func read(_ line: String, number: Int) {
        let text = line.trimmed
        let depth = line.prefix { $0.isWhitespace }.count
        // A comment inside a value is no part of it, and doesn't end it either.
        guard !text.isEmpty, !text.hasPrefix("#"), !text.hasPrefix(";") else { return }
        if let section, let option, depth > indentation {
            sections[section]?[option]?.value += "\n\(text)"
        } else if text.hasPrefix("["), let end = text.firstIndex(of: "]") {
            section = String(text[text.index(after: text.startIndex)..<end]).trimmed
            sections[section!, default: [:]] = sections[section!] ?? [:]
            option = nil
        } else {
            indentation = depth
            startOption(text, number: number)
        }
    }

    private mutating func startOption(_ text: String, number: Int) {
        option = nil
        guard let section, let delimiter = text.firstIndex(where: { $0 == "=" || $0 == ":" }) else { return }
        var name = String(text[..<delimiter]).trimmed.lowercased()
        var value = String(text[text.index(after: delimiter)...]).trimmed
        if name.hasSuffix("+") {
            name = String(name.dropLast()).trimmed
            value = (sections[section]?[name]?.value ?? "") + "\n" + value
        } else if sections[section]?[name] != nil {
            duplicates[section, default: []].append((name, number))
        }
        sections[section]?[name] = OptionFile.LocatedValue(value: value, line: number)
        option = name
    }
}

extension StringProtocol {
    /// Without white space at either end.
    var trimmed: String {
        let start = drop { $0.isWhitespace }
        guard let end = start.lastIndex(where: { !$0.isWhitespace }) else { return "" }
        return String(start[...end])
    }
}
