import Postgres

/// What a plan says, after `prepare`.
extension CollectionPlan {
    /// For each policy, in their order: what goes, and what stays only because of a pin or of another entry.
    ///
    /// `blobs` and `bytes` are of what is freed as soon as the entries are gone: each blob once, at the first policy by
    /// which an entry goes that names it. `waiting_entries` and `waiting_blobs` are of what goes, and was touched so short a
    /// time ago that a collection leaves it; these blobs are of those that no entry names.
    public func figures() throws -> Table {
        try connection.transaction {
            try findPutAgain()
            try connection.runScript(Self.settings)
            return Table(try sums())
        }
    }

    /// The entries that were put again lately; `renewed_at` knows that to an hour only.
    private func findPutAgain() throws {
        try connection.runScript("DROP TABLE IF EXISTS pg_temp.entry_put_again")
        try connection.run(
            """
            CREATE TEMPORARY TABLE entry_put_again AS
            SELECT DISTINCT entry.id AS entry_id FROM shacache.upload JOIN shacache.entry ON entry.sha512 = upload.sha512
            WHERE upload.at > \(cutoff) AND \(Entries.isPutAgain)
            """)
        try connection.runScript("ANALYZE pg_temp.entry_put_again")
    }

    private func sums() throws -> Rows {
        try connection.run(
            """
            SELECT policy.name AS policy, coalesce(entries.going, 0) AS entries, coalesce(blobs.going, 0) AS blobs,
                coalesce(blobs.bytes, 0)::bigint AS bytes, coalesce(entries.waiting, 0) AS waiting_entries,
                coalesce(touched.blobs, 0) AS waiting_blobs, coalesce(entries.pinned, 0) AS pinned_entries,
                coalesce(blobs.pinned, 0) AS pinned_blobs, coalesce(blobs.pinned_bytes, 0)::bigint AS pinned_bytes,
                coalesce(blobs.named, 0) AS named_blobs, coalesce(blobs.named_bytes, 0)::bigint AS named_bytes
            FROM pg_temp.retention_policy AS policy
            LEFT JOIN (
                SELECT number, count(*) FILTER (WHERE NOT is_pinned) AS going, count(*) FILTER (WHERE is_pinned) AS pinned,
                    count(*) FILTER (
                        WHERE NOT is_pinned AND (created_at > \(cutoff) OR again.entry_id IS NOT NULL)) AS waiting
                FROM pg_temp.decided_entry AS decided
                LEFT JOIN pg_temp.entry_put_again AS again ON again.entry_id = decided.entry_id GROUP BY number
            ) AS entries ON entries.number = policy.number
            LEFT JOIN (
                SELECT policy, count(*) AS blobs FROM pg_temp.going_blob WHERE touched_at > \(cutoff) GROUP BY policy
            ) AS touched ON touched.policy = policy.name
            LEFT JOIN (
                SELECT number, sum(blobs) FILTER (WHERE fate = 'goes')::bigint AS going,
                    sum(bytes) FILTER (WHERE fate = 'goes') AS bytes,
                    sum(blobs) FILTER (WHERE fate = 'pinned')::bigint AS pinned,
                    sum(bytes) FILTER (WHERE fate = 'pinned') AS pinned_bytes,
                    sum(blobs) FILTER (WHERE fate = 'named')::bigint AS named,
                    sum(bytes) FILTER (WHERE fate = 'named') AS named_bytes
                FROM (
                    SELECT number, fate, count(*) AS blobs, sum(size) AS bytes
                    FROM \(Self.plannedBlobs) AS planned GROUP BY number, fate
                ) AS sums
                GROUP BY number
            ) AS blobs ON blobs.number = policy.number
            ORDER BY policy.number
            """)
    }

    /// A subquery of `number`, `size` and `fate`: the blobs that entries name which go, or would if they weren't pinned, and
    /// those that no entry names, with what becomes of each. Withdrawn ones stay whatever is planned, and aren't among them.
    /// Most blobs have one entry: only those of the others are added up.
    private static let plannedBlobs: SQL = """
        (
            SELECT decided.number, decided.size, CASE WHEN is_pinned OR \(isPinned) THEN 'pinned' ELSE 'goes' END AS fate
            FROM pg_temp.decided_entry AS decided
            LEFT JOIN pg_temp.name_count AS named ON named.sha512 = decided.sha512
            WHERE named.sha512 IS NULL AND decided.size IS NOT NULL
            UNION ALL
            SELECT decided.number, decided.size,
                CASE WHEN decided.named > decided.entries THEN 'named'
                    WHEN has_pinned OR \(isPinned) THEN 'pinned' ELSE 'goes' END
            FROM (
                SELECT decided.sha512, min(number) AS number, decided.size, bool_or(NOT is_pinned) AS has_going,
                    bool_or(is_pinned) AS has_pinned, count(*) AS entries,
                    named.entries - coalesce(hidden.entries, 0) AS named
                FROM pg_temp.decided_entry AS decided
                JOIN pg_temp.name_count AS named ON named.sha512 = decided.sha512
                LEFT JOIN (
                    SELECT entry.sha512, count(*) AS entries FROM shacache.withdrawal
                    JOIN shacache.entry ON entry.withdrawal_id = withdrawal.id
                    WHERE withdrawal.is_retention GROUP BY entry.sha512
                ) AS hidden ON hidden.sha512 = decided.sha512
                WHERE decided.size IS NOT NULL
                GROUP BY decided.sha512, decided.size, named.entries, hidden.entries
            ) AS decided
            WHERE has_going OR decided.named = decided.entries
            UNION ALL
            SELECT policy.number, blob.size, blob.fate
            FROM (
                SELECT policy, size, 'goes' AS fate FROM pg_temp.going_blob
                UNION ALL SELECT policy, size, 'pinned' FROM pg_temp.spared_blob
            ) AS blob
            JOIN pg_temp.retention_policy AS policy ON policy.name = blob.policy
        )
        """

    private static let isPinned: SQL = """
        decided.sha512 IN (SELECT sha512 FROM shacache.pin WHERE removed_at IS NULL AND sha512 IS NOT NULL)
        """

    /// Calls `body` with all that goes, a batch at a time: entries by policy and number, then blobs that no entry names.
    ///
    /// - Parameters:
    ///   - limit: nil is all.
    ///   - asJSON: one column that holds each row as a JSON object.
    public func forEach(limit: Int?, asJSON: Bool, _ body: (Table) throws -> Void) throws {
        try connection.transaction {
            try connection.runScript(
                """
                \(Self.settings); SET LOCAL cursor_tuple_fraction = 1;
                DECLARE plan NO SCROLL CURSOR FOR
                SELECT \(asJSON ? "row_to_json(going)" : "going.*")
                FROM (
                    SELECT * FROM (
                        SELECT going.policy, going.entry_id AS entry, entry.key, encode(entry.sha512, 'hex') AS sha512,
                            coalesce(blob.size, 0) AS bytes, going.why
                        FROM pg_temp.going_entry AS going
                        JOIN shacache.entry ON entry.id = going.entry_id
                        LEFT JOIN shacache.blob ON blob.sha512 = entry.sha512
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
