import Postgres

/// Bounds in bytes.
extension CollectionPlan {
    /// By how many bytes a policy's bound is exceeded.
    private struct Excess {
        let number: Int
        let bytes: Int
    }

    /// Lets go, of each policy with a bound, the blobs that were least recently used, with all entries that name them, until
    /// the rest fits; what else such policies match, `decided_entry` has no more behind this. A blob that another keep of the
    /// policy holds by one of its entries stays.
    func applyBounds(_ decision: EntryDecision) throws {
        guard policies.contains(where: \.isBounded) else { return }
        let excesses = try excesses()
        if !excesses.isEmpty { try findBoundedUse(decision) }
        for excess in excesses { try apply(excess) }
        try connection.runScript("ANALYZE pg_temp.outbound_entry")
        try connection.run(
            """
            DELETE FROM pg_temp.decided_entry AS entry
            WHERE number = ANY(\(boundedPolicies)::integer[]) AND NOT EXISTS (
                SELECT FROM pg_temp.outbound_entry AS outbound WHERE outbound.entry_id = entry.entry_id)
            """)
    }

    /// - Returns: of the policies whose bound is exceeded.
    private func excesses() throws -> [Excess] {
        let rows = try connection.run(
            """
            SELECT policy.number, (sum(decided.size) - policy.bytes)::bigint
            FROM (
                SELECT DISTINCT number, sha512, size FROM pg_temp.decided_entry
                WHERE number = ANY(\(boundedPolicies)::integer[]) AND size IS NOT NULL
            ) AS decided
            JOIN pg_temp.retention_policy AS policy ON policy.number = decided.number
            GROUP BY policy.number, policy.bytes HAVING sum(decided.size) > policy.bytes
            """)
        return rows.map { Excess(number: $0.int(0)!, bytes: $0.int(1)!) }
    }

    /// When each entry of a policy with a bound was last used, and whether no keep of the policy holds it.
    private func findBoundedUse(_ decision: EntryDecision) throws {
        try connection.run(
            """
            CREATE TEMPORARY TABLE bounded_entry AS
            SELECT entry_id, number AS policy, sha512, key, size, created_at, blob_at, is_pinned
            FROM pg_temp.decided_entry WHERE number = ANY(\(boundedPolicies)::integer[])
            """)
        try connection.runScript("ANALYZE pg_temp.bounded_entry")
        try connection.run(
            """
            CREATE TEMPORARY TABLE bounded_use AS
            SELECT entry.entry_id, entry.policy, entry.sha512, entry.size, entry.used_at,
                \(decision.isOld()) AND (used_at >= \(decision.useLimit())) IS NOT TRUE AND NOT is_pinned
                    AND (outranked.entry_id IS NOT NULL OR \(decision.newest) IS NULL) AS is_free
            FROM (
                SELECT entry.*, greatest(entry.created_at, entry.blob_at, used_blob.until, used_key.until) AS used_at
                FROM pg_temp.bounded_entry AS entry
                LEFT JOIN (
                    SELECT sha512, max(until)::timestamptz AS until FROM \(usesOfBlobs(since: Self.always)) AS used
                    WHERE sha512 IN (SELECT sha512 FROM pg_temp.bounded_entry) GROUP BY sha512
                ) AS used_blob ON used_blob.sha512 = entry.sha512
                LEFT JOIN (
                    SELECT key, max(until)::timestamptz AS until FROM \(usesOfKeys(since: Self.always)) AS used
                    WHERE key IN (SELECT key FROM pg_temp.bounded_entry) GROUP BY key
                ) AS used_key ON used_key.key = entry.key
            ) AS entry
            LEFT JOIN pg_temp.outranked_entry AS outranked ON outranked.entry_id = entry.entry_id
            """)
        try connection.runScript("ANALYZE pg_temp.bounded_use")
    }

    private func apply(_ excess: Excess) throws {
        try connection.run(
            """
            INSERT INTO pg_temp.outbound_entry
            SELECT entry.entry_id
            FROM pg_temp.bounded_use AS entry
            JOIN (
                SELECT sha512, size, sum(size) OVER (ORDER BY at, sha512 ROWS UNBOUNDED PRECEDING) - size AS freed_before
                FROM (
                    SELECT sha512, size, max(used_at) AS at FROM pg_temp.bounded_use
                    WHERE policy = \(excess.number)::integer AND size IS NOT NULL
                    GROUP BY sha512, size HAVING bool_and(is_free)
                ) AS used
            ) AS freed ON freed.sha512 = entry.sha512 AND freed.freed_before < \(excess.bytes)::bigint AND freed.size > 0
            WHERE entry.policy = \(excess.number)::integer
            """)
    }
}
