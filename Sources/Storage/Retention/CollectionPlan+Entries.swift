import Postgres

extension CollectionPlan {
    /// Reads the dates in metadata: PostgreSQL could read neither its JSON, which may hold what only Python takes, nor most
    /// writings of dates.
    func findExpired(matching decision: EntryDecision) throws {
        guard let condition = decision.mayExpire else { return }
        let mentions = ExpiryDate.names.map { "position(\($0) IN entry.metadata) > 0" as SQL }
        try connection.run(
            """
            DECLARE dated NO SCROLL CURSOR FOR
            SELECT entry.id, entry.metadata FROM shacache.entry
            WHERE entry.withdrawal_id IS NULL AND octet_length(entry.metadata) <= \(ExpiryDate.metadataLimit)
                AND (\(joined: mentions, by: " OR ")) AND \(condition)
            """)
        var count = 0
        repeat {
            let rows = try connection.run("FETCH 1000 FROM dated")
            count = rows.count
            var entries: [String] = []
            var times: [String] = []
            for row in rows {
                guard let seconds = row.withBytes(1, { ExpiryDate.of(metadata: $0) }), seconds < now else { continue }
                entries.append(row.text(0)!)
                times.append("\(seconds)")
            }
            try connection.run(
                """
                INSERT INTO pg_temp.expired_entry
                SELECT id, to_timestamp(at) FROM unnest(\(entries)::bigint[], \(times)::double precision[]) AS each (id, at)
                """)
        } while count > 0
        try connection.runScript("CLOSE dated; ANALYZE pg_temp.expired_entry")
    }

    /// The entries that a policy's `keep-newest` doesn't keep, of those on which it decides. Most groups have few entries, and
    /// only the others need an order.
    func findOutranked() throws {
        let groups: [(RetentionPolicy.Newest.Group, columns: SQL, isOfGroup: SQL, condition: SQL)] = [
            (.key, "entry.key", "entry.key = large.key", "true"),
            (
                .softwareRelease, "entry.software_url, entry.multiarch, entry.os",
                """
                entry.software_url = large.software_url AND entry.multiarch IS NOT DISTINCT FROM large.multiarch
                AND entry.os IS NOT DISTINCT FROM large.os
                """, "entry.software_url IS NOT NULL"
            ),
        ]
        for group in groups where policies.contains(where: { $0.keeps.newest?.group == group.0 }) {
            try connection.run(
                """
                INSERT INTO pg_temp.outranked_entry
                SELECT ranked.id
                FROM (
                    SELECT entry.id, large.newest, row_number() OVER (
                            PARTITION BY entry.policy, \(group.columns) ORDER BY entry.created_at DESC, entry.id DESC) AS rank
                    FROM pg_temp.matched_entry AS entry
                    JOIN (
                        SELECT entry.policy, policy.newest, \(group.columns)
                        FROM pg_temp.matched_entry AS entry
                        JOIN pg_temp.retention_policy AS policy ON policy.number = entry.policy
                        WHERE policy.newest_of = \(group.0.rawValue) AND \(group.condition)
                        GROUP BY entry.policy, policy.newest, \(group.columns) HAVING count(*) > policy.newest
                    ) AS large ON large.policy = entry.policy AND \(group.isOfGroup)
                ) AS ranked
                WHERE ranked.rank > ranked.newest
                """)
        }
        try connection.runScript("ANALYZE pg_temp.outranked_entry")
    }

    /// The entries that no keep holds, but for bounds in bytes.
    ///
    /// - Parameter table: `going_entry`, of policies without a bound; `bounded_entry`, of those with one.
    func decide(into table: DecisionTable) throws {
        try connection.run(
            """
            INSERT INTO \(table.name)
            SELECT entry.id, policy.name,
                'uploaded ' || (entry.created_at::date)::text || coalesce(', expired ' || (entry.expired_at::date)::text, '')
                    || policy.why,
                policy.number, entry.sha512, entry.is_pinned
            FROM pg_temp.matched_entry AS entry
            JOIN pg_temp.retention_policy AS policy ON policy.number = entry.policy
            LEFT JOIN pg_temp.outranked_entry AS outranked ON outranked.entry_id = entry.id
            WHERE (policy.bytes IS NOT NULL) = \(table == .bounded)
                AND (policy.uploaded_since IS NULL OR entry.created_at < policy.uploaded_since)
                AND (policy.used_since IS NULL OR entry.created_at < policy.used_since)
                AND (policy.newest IS NULL OR outranked.entry_id IS NOT NULL)
                AND NOT EXISTS (
                    SELECT FROM pg_temp.used_blob AS used
                    WHERE used.sha512 = entry.sha512 AND used.at >= policy.used_since)
                AND NOT EXISTS (
                    SELECT FROM pg_temp.used_key AS used WHERE used.key = entry.key AND used.at >= policy.used_since)
            """)
        try connection.runScript("ANALYZE \(table.name.text)")
    }

    enum DecisionTable {
        case going, bounded

        var name: SQL {
            switch self {
            case .going: "pg_temp.going_entry"
            case .bounded: "pg_temp.bounded_entry"
            }
        }
    }
}

/// Bounds in bytes.
extension CollectionPlan {
    /// By how many bytes a policy's bound is exceeded.
    struct Excess {
        let number: Int
        let bytes: Int
    }

    /// - Returns: of the policies whose bound is exceeded.
    func excesses() throws -> [Excess] {
        guard policies.contains(where: { $0.isOfEntries && $0.keeps.bytes != nil }) else { return [] }
        let rows = try connection.run(
            """
            SELECT policy.number, (sum(blob.size) - policy.bytes)::bigint
            FROM (
                SELECT DISTINCT entry.policy, entry.sha512
                FROM pg_temp.matched_entry AS entry JOIN pg_temp.retention_policy AS policy ON policy.number = entry.policy
                WHERE policy.bytes IS NOT NULL
            ) AS matched
            JOIN pg_temp.retention_policy AS policy ON policy.number = matched.policy
            JOIN shacache.blob ON blob.sha512 = matched.sha512 AND blob.withdrawal_id IS NULL
            GROUP BY policy.number, policy.bytes HAVING sum(blob.size) > policy.bytes
            """)
        return rows.map { Excess(number: $0.int(0)!, bytes: $0.int(1)!) }
    }

    /// Lets go, of each policy, the blobs that were least recently used, with all entries that name them, until the rest fits.
    /// A blob that another keep of the policy holds by one of its entries stays.
    func applyBounds(_ excesses: [Excess]) throws {
        try decide(into: .bounded)
        for excess in excesses {
            try connection.run(
                """
                INSERT INTO pg_temp.going_entry
                WITH held AS (
                    SELECT DISTINCT entry.sha512 FROM pg_temp.matched_entry AS entry
                    WHERE entry.policy = \(excess.number)::integer AND NOT EXISTS (
                        SELECT FROM pg_temp.bounded_entry AS bounded
                        WHERE bounded.entry_id = entry.id AND NOT bounded.is_pinned)
                ), used AS (
                    SELECT bounded.sha512, blob.size, max(greatest(
                            entry.created_at, blob.created_at, blob.last_referenced_at, used_blob.at, used_key.at)) AS at
                    FROM pg_temp.bounded_entry AS bounded
                    JOIN shacache.entry ON entry.id = bounded.entry_id
                    JOIN shacache.blob ON blob.sha512 = bounded.sha512 AND blob.withdrawal_id IS NULL
                    LEFT JOIN pg_temp.used_blob ON used_blob.sha512 = bounded.sha512
                    LEFT JOIN pg_temp.used_key ON used_key.key = entry.key
                    WHERE bounded.number = \(excess.number)::integer AND NOT bounded.is_pinned
                        AND NOT EXISTS (SELECT FROM held WHERE held.sha512 = bounded.sha512)
                    GROUP BY bounded.sha512, blob.size
                ), freed AS (
                    SELECT sha512, size,
                        sum(size) OVER (ORDER BY at, sha512 ROWS UNBOUNDED PRECEDING) - size AS freed_before
                    FROM used
                )
                SELECT bounded.*
                FROM pg_temp.bounded_entry AS bounded
                JOIN freed ON freed.sha512 = bounded.sha512
                    AND freed.freed_before < \(excess.bytes)::bigint AND freed.size > 0
                WHERE bounded.number = \(excess.number)::integer AND NOT bounded.is_pinned
                """)
        }
    }
}

extension RetentionPolicy {
    var isOfEntries: Bool { if case .entries = subject { true } else { false } }
}
