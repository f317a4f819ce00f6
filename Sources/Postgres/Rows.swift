import CPostgres

/// What a statement answered. Columns are counted from 0, in the order of the SELECT.
public final class Rows: Sequence {
    fileprivate let result: OpaquePointer  // PGresult *

    /// Takes ownership of the handle.
    init(owning result: OpaquePointer) { self.result = result }

    deinit { PQclear(result) }

    public var count: Int { Int(PQntuples(result)) }

    public var first: ResultRow? { count > 0 ? ResultRow(rows: self, index: 0) : nil }

    public var columns: [(name: String, kind: ColumnKind)] {
        (0..<PQnfields(result)).map { column in
            (String(cString: PQfname(result, column)), ColumnKind(oid: PQftype(result, column)))
        }
    }

    public func makeIterator() -> AnyIterator<ResultRow> {
        var next = 0
        return AnyIterator {
            guard next < self.count else { return nil }
            defer { next += 1 }
            return ResultRow(rows: self, index: next)
        }
    }

}

public struct ResultRow {
    fileprivate let rows: Rows
    fileprivate let index: Int

    /// The value's bytes as the server sent them, for as long as `body` runs. NULL is empty.
    public func withBytes<Result>(_ column: Int, _ body: (UnsafeRawBufferPointer) throws -> Result) rethrows
        -> Result
    {
        try body(
            UnsafeRawBufferPointer(
                start: PQgetvalue(rows.result, Int32(index), Int32(column)),
                count: Int(PQgetlength(rows.result, Int32(index), Int32(column)))))
    }

    public func text(_ column: Int) -> String? {
        guard PQgetisnull(rows.result, Int32(index), Int32(column)) == 0 else { return nil }
        return withBytes(column) { String(decoding: $0, as: UTF8.self) }
    }

    public func int(_ column: Int) -> Int? { text(column).flatMap { Int($0) } }

    public func bool(_ column: Int) -> Bool { text(column) == "t" }

    /// Of a bytea, which the server writes as hex digits.
    public func bytes(_ column: Int) -> [UInt8]? {
        guard PQgetisnull(rows.result, Int32(index), Int32(column)) == 0 else { return nil }
        var length = 0
        guard let bytes = PQunescapeBytea(PQgetvalue(rows.result, Int32(index), Int32(column)), &length) else {
            return nil
        }
        defer { PQfreemem(bytes) }
        return Array(UnsafeBufferPointer(start: bytes, count: length))
    }
}

/// The kind of a column's values, as far as the programs tell them apart.
public enum ColumnKind: Sendable {
    case number
    /// `t` or `f`.
    case truth
    /// Texts between braces.
    case list
    /// A point in time.
    case time
    case other

    fileprivate init(oid: Oid) {
        // From pg_type.dat.
        switch oid {
        case 20, 21, 23, 1700: self = .number  // bigint, smallint, integer, numeric
        case 16: self = .truth  // boolean
        case 1009: self = .list  // text[]
        case 1184: self = .time  // timestamptz
        default: self = .other
        }
    }
}
