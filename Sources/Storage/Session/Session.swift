import Glibc
public import Postgres

/// One thread's conversation with the database: the types that hold the statements of a subject (accounts, entries,
/// blobs, …) are made on it. It belongs to one thread.
public final class Session {
    let connection: Connection
    var lastLock: TakenLock?
    /// For the journal: what the transaction under way has done; nil outside of `journaling`.
    var noted: JournalRecords?

    public init(_ options: ConnectionOptions, bulkhead: DatabaseBulkhead? = nil) {
        connection = Connection(options, bulkhead: bulkhead)
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

    /// Tries again for a while when the database is away: a restart takes seconds, and a builder whose upload fails
    /// sleeps for half an hour.
    public func retryingWhileUnavailable<Result>(_ body: () throws -> Result) throws -> Result {
        let deadline = ContinuousClock.now + Self.retryTimeout
        while true {
            do {
                return try body()
            } catch  where error.isTransient {
                guard ContinuousClock.now < deadline else { throw error }
                usleep(100_000)
            }
        }
    }

    private static let retryTimeout = Duration.seconds(5)
}

/// Whether its server takes writes.
extension Session {
    /// Why a server refuses all writes.
    public enum ReadOnlyReason: Sendable {
        case standby
        /// The settings of a primary server.
        case settings
    }

    /// - Returns: nil when the server takes writes.
    public func readOnlyReason() throws -> ReadOnlyReason? {
        try reading {
            let row = try connection.run(
                "SELECT pg_is_in_recovery(), current_setting('transaction_read_only')::boolean"
            ).first!
            return row.bool(0) ? .standby : row.bool(1) ? .settings : nil
        }
    }

    /// Commits a few bytes of WAL that change no table: returns when the disk has them, and each synchronous standby.
    public func probeCommit() throws {
        try connection.run("SELECT pg_logical_emit_message(true, 'shacache', 'ready')")
    }
}
