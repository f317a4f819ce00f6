import Postgres

/// The daily maintenance of the record of uploads and of the sums of downloads.
public struct Maintenance {
    let session: Session

    public init(_ session: Session) { self.session = session }

    /// What a run has done, as dates: a month is its first day.
    public struct Changes: Sendable {
        public let monthsMade: [String]
        public let daysClosed: [String]
        public let monthsDropped: [String]
        /// Months of downloads whose days were added up.
        public let monthsFolded: [String]
    }

    /// Makes partitions ahead, adds up past days, and drops or adds up what exceeds its retention. It is idempotent,
    /// and concurrent runs wait for each other. Each step commits by itself: it stays done when a later step fails.
    ///
    /// - Parameters:
    ///   - months: how many months of the record are kept before the current one; nil keeps all.
    ///   - downloadMonths: how many months before the current one keep single days of downloads; nil: all.
    ///   - requestSeconds: how long requests for accounts wait, and are kept when they are decided.
    /// - Throws: `DatabaseError` of kind `rejected`, SQLSTATE 55P03, when a running report locks what has to change.
    public func run(recordMonths months: Int?, downloadMonths: Int?, requestSeconds: Int) throws -> Changes {
        let made = try datesUntilNone(of: "SELECT shacache.make_missing_upload_month()")
        let closed = try dates(of: "SELECT shacache.close_upload_days()")
        let dropped = try months.map { try dates(of: "SELECT shacache.drop_upload_months(\($0))") } ?? []
        try session.connection.run("SELECT shacache.forget_entries_with_blob()")
        try AccountRequests(session).forget(olderThan: requestSeconds)
        try session.connection.run("SELECT shacache.fold_missed_keys(\(Self.missedKeyDays))")
        let folded =
            try downloadMonths.map { try datesUntilNone(of: "SELECT shacache.fold_download_month(\($0))") } ?? []
        return Changes(monthsMade: made, daysClosed: closed, monthsDropped: dropped, monthsFolded: folded)
    }

    /// For so many days, lookups of keys without entries are kept by key: long enough to see what is missing.
    private static let missedKeyDays = 30

    private func dates(of statement: SQL) throws -> [String] {
        try session.connection.run(statement).map { $0.text(0)! }
    }

    /// Repeats a step until it returns NULL. Each is a transaction of its own, so that it holds its locks briefly.
    private func datesUntilNone(of statement: SQL) throws -> [String] {
        var dates: [String] = []
        while let date = try session.connection.run(statement).first!.text(0) { dates.append(date) }
        return dates
    }

    /// The closed days whose sums differ from their uploads, as far as the record still has these.
    ///
    /// - Parameter actor: repairs the sums, and is named in the audit log; nil only compares.
    /// - Returns: one row for each day that differs.
    public func recountDays(repairingAs actor: String? = nil) throws -> Table {
        try session.connection.transaction {
            let rows = try session.connection.run(
                """
                SELECT day, stored_uploads, counted_uploads, stored_bytes, counted_bytes
                FROM shacache.recount_upload_days(\(actor != nil))
                """)
            if let actor { for row in rows { try auditRecount(row, by: actor) } }
            return Table(rows)
        }
    }

    private func auditRecount(_ row: ResultRow, by actor: String) throws {
        try session.audit.append(
            "maintain recount", of: row.text(0)!, by: actor,
            detail: "uploads \(row.text(1)!) → \(row.text(2)!); bytes \(row.text(3)!) → \(row.text(4)!)")
    }
}

/// What a timer runs, by the name of its command.
public enum TimedTask: String, Sendable {
    case maintain, survey, scrub, collect, backup
    case ingestLog = "ingest-log"
    case collectFetched = "collect fetched"
}

/// The last successful run of a task.
public struct TaskRun: Sendable {
    public let task: String
    /// The host that ran it; nil for a task that one host does for all.
    public let host: String?
    /// Seconds since 1970.
    public let at: Int
    /// How many problems it found.
    public let findings: Int
}

/// The record of successful task runs, from which monitoring sees that a timer fails.
public struct TaskRuns {
    let session: Session

    public init(_ session: Session) { self.session = session }

    /// Records that a task has completed, also when there was nothing to do.
    ///
    /// - Parameter findings: how many problems an operator should look at.
    public func recordRun(of task: TimedTask, on host: String, findings: Int = 0) throws {
        try session.connection.run(
            """
            INSERT INTO shacache.task_run (task, host, findings) VALUES (\(task.rawValue), \(host), \(findings))
            ON CONFLICT (task, host) DO UPDATE SET at = now(), findings = excluded.findings, is_forgotten = false
            """)
    }

    /// The last run of each task on each host, without forgotten hosts. `maintain` and both of `collect` have one for all
    /// hosts, whichever of them ran it.
    public func latest() throws -> [TaskRun] {
        let rows = try session.reading {
            try session.connection.run(
                """
                SELECT DISTINCT ON (task, place) task, place, floor(extract(epoch FROM at))::bigint, findings
                FROM (
                    SELECT task, CASE WHEN task NOT IN ('maintain', 'collect', 'collect fetched') THEN host END AS place, at, findings
                    FROM shacache.task_run WHERE NOT is_forgotten
                ) AS run
                ORDER BY task, place, at DESC
                """)
        }
        return rows.map { TaskRun(task: $0.text(0)!, host: $0.text(1), at: $0.int(2)!, findings: $0.int(3)!) }
    }

    /// For a host that was removed: its tasks are not expected any more, and its last survey is not shown.
    public func forgetHost(_ host: String, by actor: String) throws {
        try session.audit.change("host forget", of: host, by: actor) {
            let forgotten = try session.connection.run(
                "UPDATE shacache.task_run SET is_forgotten = true WHERE host = \(host) AND NOT is_forgotten RETURNING task"
            )
            guard forgotten.count > 0 else { throw AdministrationError.unknown("host", host) }
        }
    }
}
