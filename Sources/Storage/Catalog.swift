public import Postgres
import ShaCache

/// The database: every SQL statement of ShaCache stands in this type's files. It belongs to one thread.
public final class Catalog {
    let connection: Connection
    /// Signers' keys by their DER form: parsing one takes longer than a query.
    var parsedKeys: [[UInt8]: Signer] = [:]

    public init(_ target: Connection.Target, waiters: Waiters? = nil) {
        connection = Connection(target, waiters: waiters)
    }

    /// Runs a reading again when the session had ended unnoticed since its last use.
    func reading<Result>(_ body: () throws -> Result) throws -> Result {
        do {
            return try body()
        } catch let error as DatabaseError where error.kind == .lost {
            return try body()
        }
    }
}
