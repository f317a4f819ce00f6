import CPostgres
import Glibc

/// A session with PostgreSQL, of one thread. It connects at its first use, and again after the server went away.
public final class Connection {
    private let options: ConnectionOptions
    private let bulkhead: DatabaseBulkhead?
    private var keepsWaiting = false
    private var handle: OpaquePointer?  // PGconn *
    /// The server's name for each statement that it has prepared in this session.
    private var prepared: [String: String] = [:]
    private var isInTransaction = false
    /// How many were begun.
    public private(set) var transactions = 0
    /// Whether the server has warned since this was reset.
    private var isWarned = false
    public private(set) var statistics = Statistics()

    /// - Parameter bulkhead: of threads that must not all wait when the server hangs.
    public init(_ options: ConnectionOptions, bulkhead: DatabaseBulkhead? = nil) {
        self.options = options
        self.bulkhead = bulkhead
    }

    deinit { disconnect() }

    /// Runs one statement, prepared at its first use in this session.
    @discardableResult
    public func run(_ sql: SQL) throws -> Rows {
        try measured {
            let handle = try session()
            return try execute(prepare(sql, on: handle), on: handle)
        }
    }

    private func execute(_ statement: Prepared, on handle: OpaquePointer) throws -> Rows {
        try conclude(on: handle, statement: statement.text) { statement.send(on: handle) }
    }

    /// Runs one statement that is a transaction by itself: when this returns, what it did is committed.
    ///
    /// - Throws: `DatabaseError` of kind `unknownOutcome` when the connection was lost while it ran, unless the server has
    ///   said that it ends the session in place of running it.
    @discardableResult
    public func commit(_ sql: SQL) throws -> Rows {
        precondition(!isInTransaction, "transactions don't nest")
        return try runCommitting(sql)
    }

    private func runCommitting(_ sql: SQL) throws -> Rows {
        try measured {
            let handle = try session()
            let statement = try prepare(sql, on: handle)
            return try committing(sql.text) { try execute(statement, on: handle) }
        }
    }

    /// Runs statements that come without values, several in one text if need be.
    public func runScript(_ statements: String) throws {
        try measured {
            let handle = try session()
            _ = try conclude(on: handle, statement: String(statements.prefix(80))) { PQsendQuery(handle, statements) }
        }
    }

    private func measured<Result>(statements: Int = 1, _ body: () throws -> Result) throws -> Result {
        let begin = ContinuousClock.now
        statistics.statements += statements
        defer { statistics.waited += begin.duration(to: .now) }
        do {
            return try behindBulkhead(body)
        } catch {
            statistics.count(error)
            throw error
        }
    }

    private func behindBulkhead<Result>(_ body: () throws -> Result) throws -> Result {
        guard let bulkhead else { return try body() }
        defer {
            if keepsWaiting { bulkhead.release() }
            keepsWaiting = false
        }
        return try bulkhead.enter(body)
    }

    /// Commits what `body` did when it returns, and rolls it back when it throws.
    ///
    /// - Throws: `DatabaseError` of kind `unknownOutcome` when the connection was lost during the commit.
    public func transaction<Result>(_ body: () throws -> Result) throws -> Result {
        precondition(!isInTransaction, "transactions don't nest")
        try run("BEGIN")
        transactions += 1
        isInTransaction = true
        defer { isInTransaction = false }
        let result: Result
        do {
            result = try body()
        } catch {
            // The state of a session that can't roll back is unknown: the next use opens a new one.
            do { try run("ROLLBACK") } catch { disconnect() }
            throw error
        }
        _ = try runCommitting(Self.commit)
        return result
    }

    private static let commit: SQL = "COMMIT"

    /// A transaction of two round trips: it begins with `first` and ends with what `body` makes of its rows.
    ///
    /// - Throws: as `transaction`.
    public func transaction(_ first: SQL, then body: (Rows) throws -> SQL) throws {
        precondition(!isInTransaction, "transactions don't nest")
        transactions += 1
        defer { isInTransaction = false }
        do {
            let rows = try measured(statements: 2) {
                let handle = try session()
                let statements = try ["BEGIN", first].map { try prepare($0, on: handle) }
                isInTransaction = true
                return try pipeline(statements, on: handle)
            }
            let last = try body(rows[1])
            _ = try measured(statements: 2) {
                let handle = try session()
                let statements = try [last, Self.commit].map { try prepare($0, on: handle) }
                return try committing(last.text) { try pipeline(statements, on: handle) }
            }
        } catch let error as DatabaseError where error.kind == .unknownOutcome {
            throw error
        } catch {
            if isInTransaction { do { try run("ROLLBACK") } catch { disconnect() } }
            throw error
        }
    }

    /// Runs what commits. The server completes a statement that is a transaction by itself before it commits it (see the
    /// extended query in PostgreSQL's manual, 55.2.3): when it says instead that it ends the session, nothing was done.
    private func committing<Result>(_ statement: String, _ body: () throws -> Result) throws -> Result {
        do {
            isWarned = false
            let result = try body()
            // When its wait for a standby is cancelled, a COMMIT succeeds with a warning, though it isn't durable
            // there.
            if isWarned { throw DatabaseError(.lost, "the server warned while it committed", statement: statement) }
            return result
        } catch let error as DatabaseError
            where error.kind == .lost && !(error.isAnswer && error.statement != Self.commit.text)
        {
            throw DatabaseError(.unknownOutcome, error.message, statement: error.statement)
        }
    }

    /// Runs several statements in one round trip. Behind the first that fails, none is run.
    private func pipeline(_ statements: [Prepared], on handle: OpaquePointer) throws -> [Rows] {
        PQenterPipelineMode(handle)
        let areSent = statements.allSatisfy { $0.send(on: handle) == 1 } && PQpipelineSync(handle) == 1
        var rows: [Rows] = []
        var failure: DatabaseError?
        for statement in statements where areSent {
            do {
                rows.append(try rowsOfNext(statement.text, on: handle))
            } catch let error as DatabaseError {
                // Of what comes behind it, the server answers only that it was left out.
                failure = failure ?? error
                guard self.handle != nil, PQstatus(handle) == CONNECTION_OK else { throw error }
            }
        }
        if areSent { PQclear(try nextResult(on: handle, of: "a pipeline")) }
        guard PQexitPipelineMode(handle) == 1, areSent else {
            let error = DatabaseError(result: nil, connection: handle, statement: statements[0].text)
            disconnect()
            throw failure ?? error
        }
        if let failure { throw failure }
        return rows
    }

    /// - Throws: the error that the server answered.
    private func rowsOfNext(_ statement: String, on handle: OpaquePointer) throws -> Rows {
        let (result, isFirst) = try lastResult(on: handle, of: statement)
        let status = PQresultStatus(result)
        if let result, status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK { return Rows(owning: result) }
        defer { PQclear(result) }
        throw DatabaseError(result: result, isFirst: isFirst, connection: handle, statement: statement)
    }

    private func session() throws -> OpaquePointer {
        if isInTransaction {
            guard let handle else { throw DatabaseError(.lost, "the session has ended", statement: "") }
            return handle
        }
        if let handle, isAlive(handle) { return handle }
        disconnect()
        return try connect()
    }

    /// Whether an idle session is still connected. An idle server sends nothing, except its end.
    private func isAlive(_ handle: OpaquePointer) -> Bool {
        var descriptor = pollfd(fd: PQsocket(handle), events: Int16(POLLIN), revents: 0)
        guard PQstatus(handle) == CONNECTION_OK else { return false }
        guard poll(&descriptor, 1, 0) > 0 else { return true }
        return PQconsumeInput(handle) == 1 && PQstatus(handle) == CONNECTION_OK
    }

    private func connect() throws -> OpaquePointer {
        // The keywords before the connection string (dbname) are defaults, which it may override; those after it
        // override it. A server that vanished without a word is given up after so many seconds, and milliseconds.
        let keywords = ["connect_timeout", "tcp_user_timeout", "keepalives_idle", "dbname", "user", "client_encoding"]
        let values = try Parameters(
            ["3", "15000", "10", options.connectionString, options.role, "UTF8"].map { .text($0) })
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
        handle = opened
        statistics.sessions += 1
        // Notices would go to stderr, between the lines of a log.
        PQsetNoticeReceiver(
            opened,
            { connection, notice in
                // PG_DIAG_SEVERITY_NONLOCALIZED
                guard let severity = PQresultErrorField(notice, Int32(UInt8(ascii: "V"))),
                    strcmp(severity, "WARNING") == 0
                else { return }
                Unmanaged<Connection>.fromOpaque(connection!).takeUnretainedValue().isWarned = true
            }, Unmanaged.passUnretained(self).toOpaque())
        // Or libpq would wait by itself, without a limit, to send what the server doesn't take.
        PQsetnonblocking(opened, 1)
        do {
            _ = try conclude(on: opened, statement: "set up a session") { PQsendQuery(opened, options.settings) }
        } catch {
            disconnect()
            throw error
        }
        return opened
    }

    private func disconnect() {
        PQfinish(handle)
        forget()
    }

    /// In the middle of a statement.
    private func giveUp(_ handle: OpaquePointer) {
        // Its notices from now on, in another thread, are ignored.
        PQsetNoticeReceiver(handle, { _, _ in }, nil)
        GivenUpSession(owning: handle).end()
        forget()
    }

    private func forget() {
        handle = nil
        prepared = [:]
    }

    private func prepare(_ sql: SQL, on handle: OpaquePointer) throws -> Prepared {
        try Prepared(sql, name: prepare(sql.text, on: handle))
    }

    private func prepare(_ text: String, on handle: OpaquePointer) throws -> String {
        if let name = prepared[text] { return name }
        let name = "s\(prepared.count)"
        _ = try conclude(on: handle, statement: text) { PQsendPrepare(handle, name, text, 0, nil) }
        prepared[text] = name
        return name
    }

    /// Sends a statement and waits for its end: rows, or the error that they hold.
    private func conclude(on handle: OpaquePointer, statement: String, send: () -> Int32) throws -> Rows {
        do {
            guard send() == 1 else { throw DatabaseError(result: nil, connection: handle, statement: statement) }
            return try rowsOfNext(statement, on: handle)
        } catch let error as DatabaseError {
            // The server may have become a standby, or be about to end: the next use looks for a better one.
            if error.isTransient, !isInTransaction, self.handle != nil { disconnect() }
            throw error
        }
    }

    /// What PQexec would return, but for the time limit: the server ends a statement by itself, unless it hangs.
    private func lastResult(
        on handle: OpaquePointer, of statement: String
    ) throws -> (result: OpaquePointer?, isFirst: Bool) {
        var last: OpaquePointer?
        var isFirst = true
        do {
            while let result = try nextResult(on: handle, of: statement) {
                // Behind the server's reason to end the session, libpq tells that it has ended.
                guard PQresultStatus(last) != PGRES_FATAL_ERROR || last == nil else {
                    PQclear(result)
                    continue
                }
                isFirst = last == nil
                PQclear(last)
                last = result
            }
            return (last, isFirst)
        } catch {
            PQclear(last)
            throw error
        }
    }

    /// - Returns: nil when a statement has no more.
    private func nextResult(on handle: OpaquePointer, of statement: String) throws -> OpaquePointer? {
        let limit = options.statementTimeLimit
        let deadline = limit == 0 ? nil : ContinuousClock.now + .seconds(limit + Self.grace)
        while case let isUnsent = PQflush(handle) > 0, isUnsent || PQisBusy(handle) == 1 {
            guard hears(handle, isUnsent ? POLLIN | POLLOUT : POLLIN, until: deadline) else {
                giveUp(handle)
                throw DatabaseError(.lost, "the server says nothing any more", statement: statement)
            }
            guard PQconsumeInput(handle) == 1 else { break }
        }
        return PQgetResult(handle)
    }

    /// Seconds. What a server may take to end a statement and answer.
    private static let grace = 2

    /// Waits until there is something to read, or to write.
    ///
    /// - Returns: false when it took too long, or another thread needs this one's place.
    private func hears(_ handle: OpaquePointer, _ events: Int32, until deadline: ContinuousClock.Instant?) -> Bool {
        var descriptor = pollfd(fd: PQsocket(handle), events: Int16(events), revents: 0)
        func wait(_ limit: Duration?) -> Bool {
            poll(&descriptor, 1, limit.map { Int32(max($0, .zero) / .milliseconds(1)) } ?? -1) != 0
        }
        if let bulkhead, !keepsWaiting {
            if wait(bulkhead.stallTimeout) { return true }
            keepsWaiting = bulkhead.keepWaiting()
            guard keepsWaiting else { return false }
        }
        return wait(deadline.map { ContinuousClock.now.duration(to: $0) })
    }
}
