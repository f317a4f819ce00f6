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
    private let lines: [Substring]
    /// Of the first header of each section, counted from 1.
    private var headers: [String: Int] = [:]

    init(_ text: String) {
        var reader = OptionFileParser()
        // To Swift, CR LF is one character, and another than LF.
        let isEnd: (Character) -> Bool = { ["\n", "\r\n", "\r"].contains($0) }
        lines = text.split(omittingEmptySubsequences: false, whereSeparator: isEnd)
        for (index, line) in lines.enumerated() { reader.read(String(line), number: index + 1) }
        sections = reader.sections
        duplicates = reader.duplicates
        headers = reader.headers
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

extension OptionFile {
    /// The file's text with options that it lacks, or has without a value, in one section. All else stays as it is, but
    /// that lines end with LF.
    ///
    /// - Parameter options: names in lower case, and values of one line.
    func text(setting options: [(name: String, value: String)], in section: String) -> String {
        var lines = self.lines.map(String.init)
        var added: [String] = []
        for (name, value) in options {
            let assignment = "\(name) = \(value.replacing("%", with: "%%"))"
            let spellings = [name, name.replacing("-", with: "_")]
            if let old = spellings.lazy.compactMap({ self.sections[section]?[$0] }).first {
                lines[old.line - 1] = self.lines[old.line - 1].indentation + assignment
            } else {
                added.append(assignment)
            }
        }
        guard let header = headers[section] else {
            if lines.last == "" { lines.removeLast() }
            return (lines + (lines.isEmpty ? [] : [""]) + ["[\(section)]"] + added + [""]).joined(separator: "\n")
        }
        // Lines that are indented less than the next option would have it for a part of their value.
        let next = self.lines[header...].first { !$0.trimmed.isEmpty && !"#;".contains($0.trimmed.first!) }
        let indentation = next.map { $0.trimmed.hasPrefix("[") ? "" : $0.indentation } ?? ""
        lines.insert(contentsOf: added.map { indentation + $0 }, at: header)
        return lines.joined(separator: "\n")
    }
}

private struct OptionFileParser {
    var sections: [String: [String: OptionFile.LocatedValue]] = [:]
    var headers: [String: Int] = [:]
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
            headers[section!] = headers[section!] ?? number
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

extension Substring {
    fileprivate var indentation: String { String(prefix { $0.isWhitespace }) }
}

extension StringProtocol {
    /// Without white space at either end.
    var trimmed: String {
        let start = drop { $0.isWhitespace }
        guard let end = start.lastIndex(where: { !$0.isWhitespace }) else { return "" }
        return String(start[...end])
    }
}
