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

    /// Makes partitions ahead, adds up past days, and drops or adds up what exceeds its retention. It is idempotent, and
    /// concurrent runs wait for each other. Each step commits by itself: it stays done when a later step fails.
    ///
    /// - Parameters:
    ///   - months: how many months of the record are kept before the current one; nil keeps all.
    ///   - downloadMonths: how many months before the current one keep single days of downloads; nil: all.
    /// - Throws: `DatabaseError` of kind `rejected`, SQLSTATE 55P03, when a running report locks what has to change.
    public func run(recordMonths months: Int?, downloadMonths: Int?) throws -> Changes {
        let made = try datesUntilNone(of: "SELECT shacache.make_missing_upload_month()")
        let closed = try dates(of: "SELECT shacache.close_upload_days()")
        let dropped = try months.map { try dates(of: "SELECT shacache.drop_upload_months(\($0))") } ?? []
        try session.connection.run("SELECT shacache.forget_entries_with_blob()")
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
