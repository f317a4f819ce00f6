import Postgres

/// Reads the reports.
public struct Reports {
    let session: Session

    public init(_ session: Session) { self.session = session }

    /// Calls `body` with the rows of a report, a batch at a time, so that a long one fits into memory.
    ///
    /// - Parameter settings: those that the report obeys; an account that doesn't exist is an error.
    /// - Parameter limit: nil is all rows.
    /// - Parameter asJSON: one column that holds each row as a JSON object.
    public func read(
        _ report: Report, asking settings: [ReportFilter: String], limit: Int?, asJSON: Bool,
        _ body: (Table) throws -> Void
    ) throws {
        try transaction(asking: settings) {
            let columns = asJSON ? "row_to_json(answer)" : "*"
            try session.connection.runScript(
                """
                DECLARE answer NO SCROLL CURSOR FOR
                SELECT \(columns) FROM report."\(report.name)" AS answer LIMIT \(limit.map { "\($0)" } ?? "ALL")
                """)
            var rows: Rows
            repeat {
                rows = try session.connection.run("FETCH 1000 FROM answer")
                try body(Table(rows))
            } while rows.count > 0
        }
    }

    /// Calls `body` in a transaction whose reports obey these settings; an account that doesn't exist is an error.
    func transaction<Result>(asking settings: [ReportFilter: String], _ body: () throws -> Result) throws -> Result {
        if let account = settings[.account] { _ = try Accounts(session).id(of: account) }
        return try session.connection.transaction {
            try session.connection.run("SET TRANSACTION READ ONLY")
            for setting in ReportFilter.allCases {
                try session.connection.run(
                    "SELECT set_config(\("report.\(setting)"), \(settings[setting] ?? ""), true)")
            }
            return try body()
        }
    }
}

/// What the page's home shows.
extension Reports {
    /// What is stored, as of the last day on which something came in; nil when nothing ever did.
    public func totals() throws -> Totals? {
        try session.reading {
            try session.connection.run(
                "SELECT total_blobs, total_bytes, total_entries FROM report.growth ORDER BY day DESC LIMIT 1")
        }.first.map { Totals(blobs: $0.int(0) ?? 0, bytes: $0.int(1) ?? 0, entries: $0.int(2) ?? 0) }
    }

    public struct Totals: Sendable {
        public let blobs: Int
        public let bytes: Int
        public let entries: Int

        public init(blobs: Int, bytes: Int, entries: Int) {
            (self.blobs, self.bytes, self.entries) = (blobs, bytes, entries)
        }
    }

    /// Accepted uploads, downloads, new bytes and bytes sent on each of the last days, today's the last.
    public func days(_ count: Int) throws -> [DailyTotals] {
        let rows = try session.connection.transaction {
            try session.connection.run(
                "SELECT set_config('report.since', ((now() AT TIME ZONE 'UTC')::date - \(count)::integer + 1)::text, true)"
            )
            return try session.connection.run(
                """
                SELECT day::date, coalesce(accepted, 0), coalesce(downloads, 0), coalesce(stored.bytes, 0),
                    coalesce(sent, 0)
                FROM generate_series(
                    (now() AT TIME ZONE 'UTC')::date - \(count)::integer + 1, (now() AT TIME ZONE 'UTC')::date, '1 day'
                ) AS each(day)
                LEFT JOIN report.uploads USING (day)
                LEFT JOIN (
                    SELECT day, whole + partial AS downloads, bytes AS sent FROM report.downloads WHERE kind = 'blob'
                ) AS fetched USING (day)
                LEFT JOIN report.growth AS stored USING (day)
                ORDER BY day
                """)
        }
        return rows.map {
            DailyTotals(
                name: $0.text(0)!, uploads: $0.int(1)!, downloads: $0.int(2)!, newBytes: $0.int(3)!,
                sentBytes: $0.int(4)!)
        }
    }

}

/// In UTC.
public struct DailyTotals: Sendable {
    /// YYYY-MM-DD.
    public let name: String
    public let uploads: Int
    public let downloads: Int
    public let newBytes: Int
    public let sentBytes: Int
}

/// Totals over the whole cache.
public struct CacheSummary {
    let session: Session

    public init(_ session: Session) { self.session = session }

    /// Blobs, bytes, entries, enabled accounts, trusted signers and valid certificates, in one row.
    public func table() throws -> Table {
        Table(
            try session.connection.run(
                """
                SELECT
                    (SELECT count(*) FROM shacache.blob) AS blobs,
                    (SELECT coalesce(sum(size), 0)::bigint FROM shacache.blob) AS bytes,
                    (SELECT count(*) FROM shacache.entry) AS entries,
                    (SELECT count(*) FROM shacache.account WHERE disabled_at IS NULL) AS enabled_accounts,
                    (SELECT count(*) FROM shacache.signer WHERE revoked_at IS NULL) AS trusted_signers,
                    (SELECT count(*) FROM shacache.certificate_in_use WHERE not_after > now()) AS valid_certificates
                """))
    }

    /// The number of entries, withdrawn ones included, under the key that has most of them.
    public func entriesOfFullestKey() throws -> Int {
        try session.reading {
            try session.connection.run("SELECT coalesce(max(entries), 0) FROM shacache.key_count").first!.int(0)!
        }
    }
}
