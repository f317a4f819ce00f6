import CPostgres

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
