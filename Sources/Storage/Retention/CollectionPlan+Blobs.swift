import Postgres

/// Blobs that no entry names.
extension CollectionPlan {
    /// Of the blobs that no entry names, or more than one, the number of their entries, withdrawn ones included. Two indexes
    /// have blobs and entries in the same order; each part of that order is for another of PostgreSQL's parallel workers.
    func countNames() throws {
        let parts: [SQL] = (0..<8).map { part in
            let isInPart = { (column: SQL) -> SQL in
                let isBelow: SQL = part == 7 ? "" : " AND \(column) < \([UInt8(32 * part + 32)])::bytea"
                return "\(column) >= \([UInt8(32 * part)])::bytea\(isBelow)"
            }
            return """
                SELECT blob.sha512, count(entry.id) AS entries
                FROM shacache.blob
                LEFT JOIN shacache.entry ON entry.sha512 = blob.sha512 AND \(isInPart("entry.sha512"))
                WHERE \(isInPart("blob.sha512"))
                GROUP BY blob.sha512 HAVING count(entry.id) <> 1
                """
        }
        try connection.runScript("SET LOCAL enable_mergejoin = on")
        try connection.run(
            """
            CREATE TEMPORARY TABLE name_count AS \(joined: parts, by: " UNION ALL ")
            \(policies.isEmpty ? "WITH NO DATA" : "" as SQL)
            """)
        // They are few, mostly: to look each one up costs less than to read all blobs and downloads.
        try connection.runScript(
            """
            SET LOCAL enable_mergejoin = off; SET LOCAL enable_nestloop = on; SET LOCAL random_page_cost = 1.1;
            ANALYZE pg_temp.name_count
            """)
    }

    /// Those whose last entry a policy removed. It keeps them as long as they are still downloaded or asked for by their hash.
    func decideLeftBlobs() throws {
        try connection.run(
            """
            INSERT INTO pg_temp.going_blob
            SELECT blob.sha512, policy.name, 'uploaded ' || (blob.created_at::date)::text || ', its entries were removed',
                blob.size, blob.last_referenced_at
            FROM \(Self.unnamedBlobs) AS blob JOIN pg_temp.retention_policy AS policy ON policy.name = blob.left_by
            WHERE \(isUnused)
            """)
    }

    /// Those that a policy of their own lets go.
    func decideUnnamedBlobs() throws {
        let names = KnownNames(session)
        var conditions: [SQL] = []
        for (number, policy) in policies.enumerated() {
            guard case .unnamedBlobs(let account) = policy.subject else { continue }
            let isOfAccount: SQL =
                try account.map { "blob.account_id = \(try names.account($0, of: policy))::bigint" } ?? "true"
            conditions.append("WHEN \(isOfAccount) THEN \(number)::integer")
        }
        guard !conditions.isEmpty else { return }
        try connection.run(
            """
            INSERT INTO pg_temp.going_blob
            SELECT blob.sha512, policy.name, 'uploaded ' || (blob.created_at::date)::text || policy.why, blob.size,
                blob.last_referenced_at
            FROM (
                SELECT blob.*, CASE \(joined: conditions, by: " ") END AS policy
                FROM \(Self.unnamedBlobs) AS blob
                WHERE NOT EXISTS (SELECT FROM pg_temp.going_blob AS going WHERE going.sha512 = blob.sha512)
            ) AS blob
            JOIN pg_temp.retention_policy AS policy ON policy.number = blob.policy
            WHERE (policy.uploaded_since IS NULL OR blob.last_referenced_at < policy.uploaded_since) AND \(isUnused)
            """)
    }

    private static let unnamedBlobs: SQL = """
        (
            SELECT blob.* FROM pg_temp.name_count JOIN shacache.blob ON blob.sha512 = name_count.sha512
            WHERE name_count.entries = 0 AND blob.withdrawal_id IS NULL
        )
        """

    private var isUnused: SQL {
        guard let oldest = policies.compactMap(\.keeps.sinceUse).map({ now - $0.seconds }).min() else { return "true" }
        return """
            (policy.used_since IS NULL OR greatest(blob.created_at, blob.last_referenced_at) < policy.used_since)
            AND NOT EXISTS (
                SELECT FROM \(usesOfBlobs(since: oldest)) AS used
                WHERE used.sha512 = blob.sha512 AND used.until >= policy.used_since)
            """
    }
}
