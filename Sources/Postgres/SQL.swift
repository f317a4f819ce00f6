/// A statement whose interpolated values travel beside its text, never within it.
///
///     connection.run("SELECT metadata FROM shacache.entry WHERE key = \(key)")
public struct SQL: ExpressibleByStringInterpolation, Sendable {
    /// With `$1`, `$2`, … where the values stand.
    public let text: String
    /// nil is NULL.
    let values: [Value?]

    enum Value: Sendable {
        /// In PostgreSQL's text format for whatever type the statement wants there.
        case text(String)
        /// A bytea as it is.
        case bytes([UInt8])
    }

    public init(stringLiteral text: String) {
        self.text = text
        values = []
    }

    public init(stringInterpolation: StringInterpolation) {
        text = stringInterpolation.text
        values = stringInterpolation.values
    }

    public struct StringInterpolation: StringInterpolationProtocol {
        fileprivate var text = ""
        fileprivate var values: [Value?] = []

        public init(literalCapacity: Int, interpolationCount: Int) {
            text.reserveCapacity(literalCapacity + 4 * interpolationCount)
            values.reserveCapacity(interpolationCount)
        }

        public mutating func appendLiteral(_ literal: String) { text += literal }

        private mutating func append(_ value: Value?) {
            values.append(value)
            text += "$\(values.count)"
        }

        public mutating func appendInterpolation(_ value: String?) { append(value.map { .text($0) }) }

        public mutating func appendInterpolation(_ value: Int?) { appendInterpolation(value.map { String($0) }) }

        public mutating func appendInterpolation(_ value: Bool?) { appendInterpolation(value.map { $0 ? "t" : "f" }) }

        /// A bytea.
        public mutating func appendInterpolation(_ value: [UInt8]?) { append(value.map { .bytes($0) }) }

        /// A part that several statements share.
        public mutating func appendInterpolation(_ part: SQL) {
            precondition(part.values.isEmpty, "a shared part has no values")
            text += part.text
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
