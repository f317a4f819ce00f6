public import Postgres

extension Catalog {
    /// What this catalog has asked of the database.
    public var statistics: Statistics { connection.statistics }

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

    /// When a command that timers run last had something done.
    public struct Run: Sendable {
        public let task: String
        /// Where; nil for what is done for all hosts.
        public let host: String?
        /// Seconds since 1970.
        public let at: Int
    }

    /// Of the hosts that have done something within a week: one that is silent for longer has been taken away, or was
    /// late for days.
    public func lastRuns() throws -> [Run] {
        let rows = try reading {
            try connection.run(
                """
                SELECT task, host, floor(extract(epoch FROM at))::bigint
                FROM (
                    SELECT 'maintain' AS task, NULL AS host, max(closed_at) AS at FROM shacache.closed_day
                    UNION ALL SELECT 'survey', host, max(at) FROM shacache.survey GROUP BY host
                    UNION ALL SELECT 'ingest-log', host, max(read_at) FROM shacache.log_position GROUP BY host
                ) AS run
                WHERE at IS NOT NULL AND (host IS NULL OR at > now() - interval '7 days')
                ORDER BY task, host
                """)
        }
        return rows.map { Run(task: $0.text(0)!, host: $0.text(1), at: $0.int(2)!) }
    }

    /// What the last survey of a host found of one kind.
    public struct Surveyed: Sendable {
        public let host: String
        public let kind: String
        public let files: Int
        /// That the disk gave.
        public let bytes: Int
    }

    /// Of the hosts that were surveyed within a week.
    public func lastSurveys() throws -> [Surveyed] {
        let rows = try reading {
            try connection.run(
                """
                SELECT last.host, sum.kind, sum.files, sum.allocated
                FROM (SELECT DISTINCT ON (host) id, host, at FROM shacache.survey ORDER BY host, at DESC) AS last
                JOIN shacache.survey_sum AS sum ON sum.survey_id = last.id
                WHERE last.at > now() - interval '7 days'
                ORDER BY last.host, sum.kind
                """)
        }
        return rows.map {
            Surveyed(host: $0.text(0)!, kind: $0.text(1)!, files: $0.int(2)!, bytes: $0.int(3)!)
        }
    }
}
