/// A statement whose interpolated values travel beside its text, never within it.
///
///     connection.run("SELECT metadata FROM shacache.entry WHERE key = \(key)")
public struct SQL: ExpressibleByStringInterpolation, Sendable {
    /// With `$1`, `$2`, … in place of the values.
    public let text: String
    /// nil is NULL.
    let values: [BoundValue?]
    /// The text before, between and behind the values.
    fileprivate let literals: [String]

    public init(stringLiteral text: String) {
        self.text = text
        values = []
        literals = [text]
    }

    public init(stringInterpolation: StringInterpolation) {
        literals = stringInterpolation.literals
        values = stringInterpolation.values
        var text = literals[0]
        for (number, literal) in literals.dropFirst().enumerated() {
            text += "$"
            text += String(number + 1)
            text += literal
        }
        self.text = text
    }

    public struct StringInterpolation: StringInterpolationProtocol {
        fileprivate var literals = [""]
        fileprivate var values: [BoundValue?] = []

        public init(literalCapacity: Int, interpolationCount: Int) {
            literals.reserveCapacity(interpolationCount + 1)
            values.reserveCapacity(interpolationCount)
        }

        public mutating func appendLiteral(_ literal: String) { literals[literals.count - 1] += literal }

        private mutating func append(_ value: BoundValue?) {
            values.append(value)
            literals.append("")
        }

        public mutating func appendInterpolation(_ value: String?) { append(value.map { .text($0) }) }

        public mutating func appendInterpolation(_ value: Int?) { appendInterpolation(value.map { String($0) }) }

        public mutating func appendInterpolation(_ value: Bool?) { appendInterpolation(value.map { $0 ? "t" : "f" }) }

        /// A bytea.
        public mutating func appendInterpolation(_ value: [UInt8]?) { append(value.map { .bytes($0) }) }

        /// A part of a statement, with the values in it.
        public mutating func appendInterpolation(_ part: SQL) {
            appendLiteral(part.literals[0])
            for (value, literal) in zip(part.values, part.literals.dropFirst()) {
                append(value)
                appendLiteral(literal)
            }
        }

        /// Parts with commas between them.
        public mutating func appendInterpolation(_ parts: [SQL]) {
            for (index, part) in parts.enumerated() {
                if index > 0 { appendLiteral(", ") }
                appendInterpolation(part)
            }
        }

        /// A text[]. Every element is quoted, so that neither `NULL` nor a comma in it means anything. By scalars, as
        /// the server reads it: in a Character, a quote may hide under an accent.
        public mutating func appendInterpolation(_ value: [String]?) {
            appendInterpolation(
                value.map { elements in
                    let quoted = elements.map { element in
                        "\"" + element.unicodeScalars.map { $0 == "\"" || $0 == "\\" ? "\\\($0)" : "\($0)" }.joined()
                            + "\""
                    }
                    return "{" + quoted.joined(separator: ",") + "}"
                })
        }
    }
}

enum BoundValue: Sendable {
    /// In PostgreSQL's text format for whatever type the statement wants there.
    case text(String)
    /// A bytea as it is.
    case bytes([UInt8])
}
