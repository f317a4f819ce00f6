import Postgres

/// What was done for the record of uploads and the sums of downloads, as dates: a month is its first day.
public struct Upkeep: Sendable {
    public let monthsMade: [String]
    public let daysClosed: [String]
    public let monthsDropped: [String]
    /// Of downloads, whose days were added up.
    public let monthsFolded: [String]
}

extension Catalog {
    /// Makes partitions ahead, adds up the days that are over, and drops or adds up what is older than it is kept. What
    /// was done before isn't done again, and of two calls at once the second waits. Each step stands by itself: what was
    /// done stays when the next fails.
    ///
    /// - Parameters:
    ///   - months: how many before the current one are kept of the record; nil keeps all.
    ///   - downloadMonths: how many before the current one keep single days of downloads; nil: all.
    /// - Throws: `DatabaseError` of kind `rejected`, SQLSTATE 55P03, when a report holds what is to be changed.
    public func maintain(recordMonths months: Int?, downloadMonths: Int?) throws -> Upkeep {
        let made = try datesUntilNone(of: "SELECT shacache.make_missing_upload_month()")
        let closed = try dates(of: "SELECT shacache.close_upload_days()")
        let dropped = try months.map { try dates(of: "SELECT shacache.drop_upload_months(\($0))") } ?? []
        try connection.run("SELECT shacache.forget_entries_with_blob()")
        try connection.run("SELECT shacache.fold_missed_keys(\(Self.missedKeyDays))")
        let folded =
            try downloadMonths.map { try datesUntilNone(of: "SELECT shacache.fold_download_month(\($0))") } ?? []
        return Upkeep(monthsMade: made, daysClosed: closed, monthsDropped: dropped, monthsFolded: folded)
    }

    /// For so many days, keys are kept by name that nobody ever listed: long enough to see what is missing.
    private static let missedKeyDays = 30

    private func dates(of statement: SQL) throws -> [String] { try connection.run(statement).map { $0.text(0)! } }

    /// Of a step that is done again until it answers NULL: each is a transaction, and holds others up no longer than that.
    private func datesUntilNone(of statement: SQL) throws -> [String] {
        var dates: [String] = []
        while let date = try connection.run(statement).first!.text(0) { dates.append(date) }
        return dates
    }

    /// The closed days whose sums are not those of their uploads, as far as the record still has these.
    ///
    /// - Parameter actor: who puts them right, for the audit; nil only looks.
    /// - Returns: one row for each day that differs.
    public func recountDays(repairingAs actor: String? = nil) throws -> Table {
        try connection.transaction {
            let rows = try connection.run(
                """
                SELECT day, stored_uploads, counted_uploads, stored_bytes, counted_bytes
                FROM shacache.recount_upload_days(\(actor != nil))
                """)
            if let actor { for row in rows { try auditRecount(row, by: actor) } }
            return Table(rows)
        }
    }

    private func auditRecount(_ row: Rows.Row, by actor: String) throws {
        try audit(
            actor, "maintain recount", row.text(0)!,
            "uploads \(row.text(1)!) → \(row.text(2)!); bytes \(row.text(3)!) → \(row.text(4)!)")
    }
}
