import CPostgres
import Glibc

/// A session with PostgreSQL, of one thread. It connects at its first use, and again after the server went away.
public final class Connection {
    /// How to reach the server, and as whom.
    public struct Target: Sendable {
        /// libpq's keyword/value form or URI, without a user.
        public let connectionString: String
        /// The database role to log in as.
        public let role: String
        /// After this many seconds a statement is ended, also one that waits for a lock. 0: never.
        public let statementTimeLimit: Int

        public init(connectionString: String, role: String, statementTimeLimit: Int = 0) {
            self.connectionString = connectionString
            self.role = role
            self.statementTimeLimit = statementTimeLimit
        }
    }

    private let target: Target
    private var handle: OpaquePointer?  // PGconn *
    /// The server's name for each statement that it has prepared in this session.
    private var prepared: [String: String] = [:]
    private var isInTransaction = false

    public init(_ target: Target) { self.target = target }

    deinit { disconnect() }

    /// Runs one statement, prepared at its first use in this session.
    @discardableResult
    public func run(_ sql: SQL) throws -> Rows {
        let handle = try session()
        let name = try prepare(sql.text, on: handle)
        let values = try Parameters(sql)
        return try values.withPointers { pointers in
            try conclude(
                PQexecPrepared(handle, name, Int32(pointers.count), pointers, values.lengths, values.formats, 0),
                on: handle, statement: sql.text)
        }
    }

    /// Runs statements that come without values, several in one text if need be.
    public func runScript(_ statements: String) throws {
        let handle = try session()
        _ = try conclude(PQexec(handle, statements), on: handle, statement: String(statements.prefix(80)))
    }

    /// Commits what `body` did when it returns, and rolls it back when it throws.
    ///
    /// - Throws: `DatabaseError` of kind `unknownOutcome` when the connection was lost during the commit.
    public func transaction<Result>(_ body: () throws -> Result) throws -> Result {
        precondition(!isInTransaction, "transactions don't nest")
        try run("BEGIN")
        isInTransaction = true
        defer { isInTransaction = false }
        let result: Result
        do {
            result = try body()
        } catch {
            // A session that can't roll back is in a state that nobody knows: the next use opens a new one.
            do { try run("ROLLBACK") } catch { disconnect() }
            throw error
        }
        do {
            try run("COMMIT")
        } catch let error as DatabaseError where error.kind == .lost {
            throw DatabaseError(.unknownOutcome, error.message, statement: error.statement)
        }
        return result
    }

    private func session() throws -> OpaquePointer {
        if let handle, isInTransaction || isAlive(handle) { return handle }
        disconnect()
        return try connect()
    }

    /// Whether an idle session still stands. An idle server says nothing, except that it ends.
    private func isAlive(_ handle: OpaquePointer) -> Bool {
        var descriptor = pollfd(fd: PQsocket(handle), events: Int16(POLLIN), revents: 0)
        guard PQstatus(handle) == CONNECTION_OK else { return false }
        guard poll(&descriptor, 1, 0) > 0 else { return true }
        return PQconsumeInput(handle) == 1 && PQstatus(handle) == CONNECTION_OK
    }

    private func connect() throws -> OpaquePointer {
        // What stands before the connection string (dbname) is a default that it may change; what stands after it is
        // not to be changed. A server that vanished without a word is given up after so many seconds, and milliseconds.
        let keywords = ["connect_timeout", "tcp_user_timeout", "keepalives_idle", "dbname", "user", "client_encoding"]
        let values = try Parameters(
            ["3", "15000", "10", target.connectionString, target.role, "UTF8"].map { .text($0) })
        let opened = try values.withPointers { values in
            try Parameters(keywords.map { .text($0) }).withPointers { keywords in
                PQconnectdbParams(keywords + [nil], values + [nil], 1)
            }
        }
        // Null only when out of memory: a refused connection is non-null and still needs PQfinish.
        guard let opened else { throw DatabaseError(.unavailable, "out of memory", statement: "") }
        guard PQstatus(opened) == CONNECTION_OK else {
            defer { PQfinish(opened) }
            throw DatabaseError(.unavailable, DatabaseError.firstLine(PQerrorMessage(opened)), statement: "")
        }
        // Notices would go to stderr, between the lines of a log.
        PQsetNoticeProcessor(opened, { _, _ in }, nil)
        let settings = "SET statement_timeout = '\(target.statementTimeLimit)s'; SET TimeZone = 'UTC'"
        let result = PQexec(opened, settings)
        defer { PQclear(result) }
        guard PQresultStatus(result) == PGRES_COMMAND_OK else {
            defer { PQfinish(opened) }
            throw DatabaseError(result: result, connection: opened, statement: settings)
        }
        handle = opened
        return opened
    }

    private func disconnect() {
        PQfinish(handle)
        handle = nil
        prepared = [:]
    }

    private func prepare(_ text: String, on handle: OpaquePointer) throws -> String {
        if let name = prepared[text] { return name }
        let name = "s\(prepared.count)"
        _ = try conclude(PQprepare(handle, name, text, 0, nil), on: handle, statement: text)
        prepared[text] = name
        return name
    }

    /// Takes ownership of `result`: as rows, or as the error that it holds.
    private func conclude(_ result: OpaquePointer?, on handle: OpaquePointer, statement: String) throws -> Rows {
        let status = PQresultStatus(result)
        if let result, status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK { return Rows(owning: result) }
        defer { PQclear(result) }
        let error = DatabaseError(result: result, connection: handle, statement: statement)
        // The server may have become a standby, or be about to end: the next use looks for a better one.
        if [.unavailable, .lost].contains(error.kind), !isInTransaction { disconnect() }
        throw error
    }
}
