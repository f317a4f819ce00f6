import Postgres
import ShaCache

extension SQL.StringInterpolation {
    /// A bytea[] of them.
    mutating func appendInterpolation(_ digests: [Digest]) {
        appendInterpolation(digests.map { "\\x\($0)" })
        appendLiteral("::bytea[]")
    }
}

extension ResultRow {
    /// Of a bytea with 64 bytes, which the server writes as `\x` and hex digits; nil: it is NULL.
    func digest(_ column: Int) -> Digest? { withBytes(column) { Digest(hex: Array($0.dropFirst(2))) } }
}

extension Sequence<ResultRow> {
    /// What their first columns hold.
    var digests: [Digest] { map { $0.digest(0)! } }
}
