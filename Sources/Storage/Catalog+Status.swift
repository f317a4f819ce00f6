import Postgres

extension Catalog {
    /// What is in the catalog, in one row.
    public func summary() throws -> Table {
        Table(
            try connection.run(
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
}
