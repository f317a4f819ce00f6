import Postgres

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
