import CPostgres

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

        /// A text[], in which nil is NULL. Every other element is quoted, so that neither `NULL` nor a comma in it means
        /// anything. By bytes, as the server reads it: in a Character, a quote may hide under an accent.
        public mutating func appendInterpolation(_ value: [String?]?) {
            let (quote, backslash) = (UInt8(ascii: "\""), UInt8(ascii: "\\"))
            appendInterpolation(
                value.map { elements in
                    var array = [UInt8(ascii: "{")]
                    for element in elements {
                        if array.count > 1 { array.append(UInt8(ascii: ",")) }
                        guard let element else {
                            array += "NULL".utf8
                            continue
                        }
                        array.append(quote)
                        for byte in element.utf8 {
                            if byte == quote || byte == backslash { array.append(backslash) }
                            array.append(byte)
                        }
                        array.append(quote)
                    }
                    array.append(UInt8(ascii: "}"))
                    return String(decoding: array, as: UTF8.self)
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

/// A statement that the server has prepared, with its values.
struct Prepared {
    let text: String
    private let name: String
    private let values: Parameters

    /// - Parameter name: the server's, of the text.
    init(_ sql: SQL, name: String) throws {
        text = sql.text
        self.name = name
        values = try Parameters(sql)
    }

    /// - Returns: 1, or 0 when it could not be sent.
    func send(on handle: OpaquePointer) -> Int32 {
        values.withPointers { pointers in
            PQsendQueryPrepared(handle, name, Int32(pointers.count), pointers, values.lengths, values.formats, 0)
        }
    }
}

/// The values of a statement in the shape that libpq takes them: one block of memory, and pointers into it.
struct Parameters {
    private var storage: [UInt8] = []
    private var offsets: [Int?] = []
    /// In bytes; libpq reads the length only of values in binary format.
    private(set) var lengths: [Int32] = []
    /// 0 is text, 1 binary.
    private(set) var formats: [Int32] = []

    init(_ sql: SQL) throws { try self.init(sql.values, statement: sql.text) }

    /// - Throws: `DatabaseError` for a text with a NUL in it, which libpq would cut short without a word.
    init(_ values: [BoundValue?], statement: String = "") throws {
        for value in values {
            switch value {
            case nil:
                append([UInt8]?.none, format: 0)
            case .bytes(let bytes):
                append(bytes, format: 1)
            case .text(let text):
                guard !text.utf8.contains(0) else {
                    throw DatabaseError(.rejected(sqlState: "22021"), "a value holds a NUL", statement: statement)
                }
                append(text.utf8, format: 0)
            }
        }
    }

    private mutating func append(_ bytes: (some Collection<UInt8>)?, format: Int32) {
        formats.append(format)
        lengths.append(Int32(bytes?.count ?? 0))
        offsets.append(bytes == nil ? nil : storage.count)
        guard let bytes else { return }
        storage.append(contentsOf: bytes)
        storage.append(0)
    }

    /// The pointers hold for as long as `body` runs.
    func withPointers<Result>(_ body: ([UnsafePointer<CChar>?]) throws -> Result) rethrows -> Result {
        try storage.withUnsafeBytes { buffer in
            let base = buffer.baseAddress?.assumingMemoryBound(to: CChar.self)
            return try body(offsets.map { offset in offset.flatMap { base?.advanced(by: $0) } })
        }
    }
}
