public import Postgres

extension Catalog {
    /// What this catalog has asked of the database.
    public var statistics: Statistics { session.statistics }

    /// When an account can't upload any more, if nobody does anything.
    public struct Expiry: Sendable {
        public let account: String
        /// Seconds since 1970.
        public let at: Int
    }

    /// Of each enabled account, when the last of its certificates expires; the first to expire first. One that expired
    /// is named for a week, so that nobody takes its silence for a renewal.
    public func certificateExpiries() throws -> [Expiry] {
        let rows = try reading {
            try connection.run(
                """
                SELECT DISTINCT account, extract(epoch FROM account_until)::bigint AS until
                FROM shacache.certificate_in_use
                WHERE account_until > now() - interval '7 days'
                ORDER BY until, account
                """)
        }
        return rows.map { Expiry(account: $0.text(0)!, at: $0.int(1)!) }
    }

    /// What the last survey of a host found of one kind.
    public struct Surveyed: Sendable {
        public let host: String
        public let kind: String
        public let files: Int
        /// That the disk gave.
        public let bytes: Int
    }

    /// Of the hosts that nobody has forgotten.
    public func lastSurveys() throws -> [Surveyed] {
        let rows = try reading {
            try connection.run(
                """
                SELECT last.host, sum.kind, sum.files, sum.allocated
                FROM shacache.task_run AS run
                CROSS JOIN LATERAL (
                    SELECT id, host FROM shacache.survey WHERE survey.host = run.host ORDER BY at DESC LIMIT 1) AS last
                JOIN shacache.survey_sum AS sum ON sum.survey_id = last.id
                WHERE run.task = 'survey' AND NOT run.is_forgotten
                ORDER BY last.host, sum.kind
                """)
        }
        return rows.map {
            Surveyed(host: $0.text(0)!, kind: $0.text(1)!, files: $0.int(2)!, bytes: $0.int(3)!)
        }
    }

    /// Entries under the key that has most of them, withdrawn ones included.
    public func entriesOfFullestKey() throws -> Int {
        try reading { try connection.run("SELECT coalesce(max(entries), 0) FROM shacache.key_count").first!.int(0)! }
    }

    /// What was sent since downloads are counted, as `ingest-log` read it in the access logs of all hosts.
    ///
    /// - Returns: bytes by kind: `blob` and `key`.
    public func loggedBytes() throws -> [(kind: String, bytes: Int)] {
        let rows = try reading {
            try connection.run(
                "SELECT kind, sum(bytes)::bigint FROM shacache.download_day GROUP BY kind ORDER BY kind")
        }
        return rows.map { (kind: $0.text(0)!, bytes: $0.int(1)!) }
    }
}
