import Postgres

/// What a plan says, after `prepare`.
extension CollectionPlan {
    /// For each policy, in their order: what goes, and what stays only because of a pin or of another entry.
    ///
    /// `blobs` and `bytes` are of what is freed as soon as the entries are gone: each blob once, at the first policy by
    /// which an entry goes that names it.
    public func figures() throws -> Table {
        try connection.transaction {
            try makePlannedBlobs()
            return Table(
                try connection.run(
                    """
                    SELECT policy.name AS policy, coalesce(entries.going, 0) AS entries, coalesce(blobs.going, 0) AS blobs,
                        coalesce(blobs.bytes, 0)::bigint AS bytes, coalesce(spared.entries, 0) AS pinned_entries,
                        coalesce(blobs.pinned, 0) AS pinned_blobs, coalesce(blobs.pinned_bytes, 0)::bigint AS pinned_bytes,
                        coalesce(blobs.named, 0) AS named_blobs, coalesce(blobs.named_bytes, 0)::bigint AS named_bytes
                    FROM pg_temp.retention_policy AS policy
                    LEFT JOIN (SELECT policy, count(*) AS going FROM pg_temp.going_entry GROUP BY policy) AS entries
                        ON entries.policy = policy.name
                    LEFT JOIN (SELECT policy, count(*) AS entries FROM pg_temp.spared_entry GROUP BY policy) AS spared
                        ON spared.policy = policy.name
                    LEFT JOIN (
                        SELECT policy, count(*) FILTER (WHERE fate = 'goes') AS going,
                            sum(size) FILTER (WHERE fate = 'goes') AS bytes,
                            count(*) FILTER (WHERE fate = 'pinned') AS pinned,
                            sum(size) FILTER (WHERE fate = 'pinned') AS pinned_bytes,
                            count(*) FILTER (WHERE fate = 'named') AS named,
                            sum(size) FILTER (WHERE fate = 'named') AS named_bytes
                        FROM pg_temp.planned_blob GROUP BY policy
                    ) AS blobs ON blobs.policy = policy.name
                    ORDER BY policy.number
                    """))
        }
    }

    /// The blobs that entries name which go, or would if they weren't pinned, and those that no entry names: with what
    /// becomes of each. Withdrawn ones stay whatever is planned, and aren't among them.
    private func makePlannedBlobs() throws {
        try connection.runScript(
            """
            SET LOCAL work_mem = '128MB'; SET LOCAL jit = off;
            DROP TABLE IF EXISTS pg_temp.planned_blob;
            CREATE TEMPORARY TABLE planned_blob AS
            WITH decided AS MATERIALIZED (
                SELECT sha512, (array_agg(policy ORDER BY number))[1] AS policy, bool_or(goes) AS has_going,
                    bool_or(NOT goes) AS has_pinned, count(*) AS entries
                FROM (
                    SELECT sha512, policy, number, true AS goes FROM pg_temp.going_entry
                    UNION ALL SELECT sha512, policy, number, false FROM pg_temp.spared_entry
                ) AS each GROUP BY sha512
            ), hidden AS (
                SELECT entry.sha512, count(*) AS entries FROM shacache.withdrawal
                JOIN shacache.entry ON entry.withdrawal_id = withdrawal.id
                WHERE withdrawal.is_retention GROUP BY entry.sha512
            ), named AS (
                -- All of them, since their index has them in order.
                SELECT every.sha512, every.entries - coalesce(hidden.entries, 0) AS entries
                FROM (SELECT sha512, count(*) AS entries FROM shacache.entry GROUP BY sha512) AS every
                LEFT JOIN hidden ON hidden.sha512 = every.sha512
            )
            SELECT blob.sha512, decided.policy, blob.size,
                CASE WHEN named.entries > decided.entries THEN 'named'
                    WHEN has_pinned OR EXISTS (
                        SELECT FROM shacache.pin WHERE pin.sha512 = blob.sha512 AND removed_at IS NULL) THEN 'pinned'
                    ELSE 'goes' END AS fate
            FROM decided
            JOIN shacache.blob ON blob.sha512 = decided.sha512 AND blob.withdrawal_id IS NULL
            JOIN named ON named.sha512 = decided.sha512
            WHERE has_going OR named.entries = decided.entries
            UNION ALL SELECT sha512, policy, size, 'goes' FROM pg_temp.going_blob
            UNION ALL SELECT sha512, policy, size, 'pinned' FROM pg_temp.spared_blob;
            ANALYZE pg_temp.planned_blob
            """)
    }

    /// Calls `body` with all that goes, a batch at a time: entries by policy and number, then blobs that no entry names.
    ///
    /// - Parameters:
    ///   - limit: nil is all.
    ///   - asJSON: one column that holds each row as a JSON object.
    public func forEach(limit: Int?, asJSON: Bool, _ body: (Table) throws -> Void) throws {
        try connection.transaction {
            try connection.runScript(
                """
                SET LOCAL work_mem = '128MB'; SET LOCAL jit = off; SET LOCAL cursor_tuple_fraction = 1;
                DECLARE plan NO SCROLL CURSOR FOR
                SELECT \(asJSON ? "row_to_json(going)" : "going.*")
                FROM (
                    SELECT * FROM (
                        SELECT going.policy, going.entry_id AS entry, entry.key, encode(going.sha512, 'hex') AS sha512,
                            coalesce(blob.size, 0) AS bytes, going.why
                        FROM pg_temp.going_entry AS going
                        JOIN shacache.entry ON entry.id = going.entry_id
                        LEFT JOIN shacache.blob ON blob.sha512 = going.sha512
                        ORDER BY going.number, going.entry_id
                    ) AS entries
                    UNION ALL
                    SELECT * FROM (
                        SELECT policy, NULL::bigint, NULL::text, encode(sha512, 'hex'), size, why
                        FROM pg_temp.going_blob ORDER BY policy, sha512
                    ) AS blobs
                ) AS going LIMIT \(limit.map { "\($0)" } ?? "ALL")
                """)
            var rows: Rows
            repeat {
                rows = try connection.run("FETCH 1000 FROM plan")
                try body(Table(rows))
            } while rows.count > 0
        }
    }
}
