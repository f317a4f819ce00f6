public import Postgres

/// One thread's conversation with the database: the types that hold the statements of a subject (accounts, entries, blobs,
/// …) are made on it. It belongs to one thread.
public final class Session {
    let connection: Connection

    public init(_ target: Connection.Target, waiters: Waiters? = nil) {
        connection = Connection(target, waiters: waiters)
    }

    /// What was asked of the server since this was made.
    public var statistics: Statistics { connection.statistics }

    /// Runs a read again when the session had ended unnoticed since its last use.
    func reading<Result>(_ body: () throws -> Result) throws -> Result {
        do {
            return try body()
        } catch let error as DatabaseError where error.kind == .lost {
            return try body()
        }
    }
}
