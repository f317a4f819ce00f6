import Postgres

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
