import ShaCache

/// One condition on entries' metadata, `NAME OPERATOR VALUE`: those of the deployed client, with Python's comparisons.
public struct MetadataFilter: Sendable {
    enum Operator: String {
        case equal = "=="
        case atLeast = ">="
        case atMost = "<="
        case greater = ">"
        case less = "<"
        /// Keeps the entries with the greatest value that is greater than VALUE.
        case greatest = ">>"
        /// Keeps the entries with the least value that is less than VALUE.
        case least = "<<"
    }

    let name: String
    let `operator`: Operator
    let value: JSON
    /// As the user gave it.
    private let text: String

    /// - Parameter text: for example `revision>=12` or `os==["debian", "12", ""]`. The value is JSON.
    public init(_ text: String) throws(UsageError) {
        // The deployed client's own expression.
        guard let match = text.firstMatch(of: /<<|>>|[<>]=?|==/) else {
            throw UsageError(
                "\(text): a filter has one of == >= <= > < >> << in it",
                hint: "for example 'revision>=12' or 'os==[\"debian\", \"12\", \"\"]', in single quotes for the shell")
        }
        self.text = text
        name = String(text[..<match.range.lowerBound])
        `operator` = Operator(rawValue: String(match.output))!
        let literal = text[match.range.upperBound...]
        do {
            value = try JSON(Array(literal.utf8))
        } catch {
            throw UsageError(
                "\(text): the value \(literal) is not JSON",
                hint: "a text stands in double quotes: '\(name)\(match.output)\(Self.quoted(literal))'")
        }
    }

    /// As a JSON text, without the quotes that are in it already, on one side maybe.
    private static func quoted(_ literal: Substring) -> String {
        "\"\(String(literal).trimmed.replacing("\"", with: "").replacing("\\", with: "\\\\"))\""
    }

    /// - Parameter reporter: warned of entries whose value can't be compared with the filter's, and told of all that
    ///   are left out.
    func apply(to entries: [Entry], reporter: Reporter) -> [Entry] {
        let named = entries.compactMap { entry in entry.content[name].map { (entry, $0) } }
        let kept: [Entry]
        switch `operator` {
        case .greatest, .least: kept = extremes(named, warn: reporter.warn)
        default: kept = named.filter { holds($0.1, value, warn: reporter.warn) }.map(\.0)
        }
        let digests = Set(kept.map(\.digest))
        for entry in entries where !digests.contains(entry.digest) {
            let said = entry.content[name].map { "\(name) is \($0.withoutCredentials.dumped())" } ?? "it has no \(name)"
            reporter.note("passed over by the filter \(text), \(entry.named): \(said)")
        }
        return kept
    }

    /// All entries that share the greatest value, or the least.
    private func extremes(_ named: [(Entry, JSON)], warn: (String) -> Void) -> [Entry] {
        var kept: [Entry] = []
        var bound = value
        for (entry, candidate) in named {
            if holds(candidate, bound, warn: warn) {
                (kept, bound) = ([entry], candidate)
            } else if !kept.isEmpty, candidate.equals(bound) {
                kept.append(entry)
            }
        }
        return kept
    }

    private func holds(_ candidate: JSON, _ bound: JSON, warn: (String) -> Void) -> Bool {
        func warnOfKinds() { warn("\(name): \(candidate.dumped()) can't be compared with \(bound.dumped())") }
        if case .equal = `operator` {
            if candidate.isOfOtherKind(than: bound) { warnOfKinds() }
            return candidate.equals(bound)
        }
        do {
            let order = try candidate.order(bound)
            return switch `operator` {
            case .equal: order == .equal
            case .atLeast: order == .greater || order == .equal
            case .atMost: order == .less || order == .equal
            case .greater, .greatest: order == .greater
            case .less, .least: order == .less
            }
        } catch {
            warnOfKinds()
            return false
        }
    }
}

extension [MetadataFilter] {
    /// The entries that pass all filters, one after the other.
    func apply(to entries: [Entry], reporter: Reporter) -> [Entry] {
        reduce(entries) { $1.apply(to: $0, reporter: reporter) }
    }
}

extension JSON {
    /// Whether no such values are ever equal. null is what is left out, of whatever kind.
    fileprivate func isOfOtherKind(than other: JSON) -> Bool {
        kind != .null && other.kind != .null && kind != other.kind
    }

    private enum JSONKind { case null, number, string, array, object }

    private var kind: JSONKind {
        switch self {
        case .null: .null
        // In Python, True is 1.
        case .bool, .number: .number
        case .string: .string
        case .array: .array
        case .object: .object
        }
    }
}
