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
                SELECT account.name, extract(epoch FROM max(certificate.not_after))::bigint
                FROM shacache.certificate JOIN shacache.account ON account.id = certificate.account_id
                WHERE certificate.revoked_at IS NULL AND account.disabled_at IS NULL
                GROUP BY account.name
                HAVING max(certificate.not_after) > now() - interval '7 days'
                ORDER BY max(certificate.not_after), account.name
                """)
        }
        return rows.map { Expiry(account: $0.text(0)!, at: $0.int(1)!) }
    }
}
