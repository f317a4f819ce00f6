import Postgres

/// Blobs that no entry names.
extension CollectionPlan {
    /// Those whose last entry a policy removed. It keeps them as long as they are still downloaded or asked for by their hash.
    func decideLeftBlobs() throws {
        try connection.run(
            """
            INSERT INTO pg_temp.going_blob
            SELECT blob.sha512, policy.name, 'uploaded ' || (blob.created_at::date)::text || ', its entries were removed',
                blob.size
            FROM shacache.blob JOIN pg_temp.retention_policy AS policy ON policy.name = blob.left_by
            WHERE \(Self.isUnnamed) AND \(Self.isUnused)
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
            SELECT blob.sha512, policy.name, 'uploaded ' || (blob.created_at::date)::text || policy.why, blob.size
            FROM (
                SELECT blob.*, CASE \(joined: conditions, by: " ") END AS policy FROM shacache.blob
                WHERE \(Self.isUnnamed) AND NOT EXISTS (
                    SELECT FROM pg_temp.going_blob AS going WHERE going.sha512 = blob.sha512)
            ) AS blob
            JOIN pg_temp.retention_policy AS policy ON policy.number = blob.policy
            WHERE (policy.uploaded_since IS NULL OR blob.last_referenced_at < policy.uploaded_since) AND \(Self.isUnused)
            """)
    }

    private static let isUnnamed: SQL = """
        blob.withdrawal_id IS NULL AND NOT EXISTS (SELECT FROM shacache.entry WHERE entry.sha512 = blob.sha512)
        """

    private static let isUnused: SQL = """
        (policy.used_since IS NULL OR greatest(blob.created_at, blob.last_referenced_at) < policy.used_since)
        AND NOT EXISTS (
            SELECT FROM pg_temp.used_blob AS used WHERE used.sha512 = blob.sha512 AND used.at >= policy.used_since)
        """
}
