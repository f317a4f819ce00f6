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
