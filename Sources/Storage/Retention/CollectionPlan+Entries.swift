import Postgres

extension CollectionPlan {
    /// Reads the dates in metadata: PostgreSQL could read neither its JSON, which may hold what only Python takes, nor most
    /// writings of dates.
    func findExpired(_ decision: EntryDecision) throws -> EntrySet {
        var expired = EntrySet()
        guard let condition = decision.mayExpire else { return expired }
        let mentions = ExpiryDate.names.map { "position(\($0) IN entry.metadata) > 0" as SQL }
        // A cursor on the entries would look for them without parallel workers.
        try connection.run(
            """
            CREATE TEMPORARY TABLE dated_entry AS
            SELECT entry.id, entry.metadata FROM shacache.entry
            WHERE entry.withdrawal_id IS NULL AND octet_length(entry.metadata) <= \(ExpiryDate.metadataLimit)
                AND (\(joined: mentions, by: " OR ")) AND \(condition)
            """)
        try connection.runScript("DECLARE dated NO SCROLL CURSOR FOR SELECT id, metadata FROM pg_temp.dated_entry")
        var count = 0
        repeat {
            let rows = try connection.run("FETCH 1000 FROM dated")
            count = rows.count
            var entries: [String] = []
            var times: [String] = []
            for row in rows {
                guard let seconds = row.withBytes(1, { ExpiryDate.of(metadata: $0) }), seconds < now else { continue }
                expired.insert(row.int(0)!)
                entries.append(row.text(0)!)
                times.append("\(seconds)")
            }
            try connection.run(
                """
                INSERT INTO pg_temp.expired_entry
                SELECT id, to_timestamp(at) FROM unnest(\(entries)::bigint[], \(times)::double precision[]) AS each (id, at)
                """)
        } while count > 0
        try connection.runScript("CLOSE dated; DROP TABLE pg_temp.dated_entry; ANALYZE pg_temp.expired_entry")
        return expired
    }

    /// The entries that a policy's `keep-newest` doesn't keep, of those on which it decides.
    func findOutranked(_ decision: EntryDecision, _ expired: EntrySet) throws {
        // Sorted by bytes: any other collation takes several times as long.
        let groups: [(RetentionPolicy.Newest.Group, columns: SQL, condition: SQL)] = [
            (.key, "entry.key", "true"),
            (
                .softwareRelease,
                #"entry.software_url COLLATE "C", entry.multiarch COLLATE "C", entry.os::text COLLATE "C""#,
                "entry.software_url IS NOT NULL"
            ),
        ]
        let outranked: [SQL] = groups.compactMap { group in
            let isOfGroup = { (policy: RetentionPolicy) in policy.keeps.newest?.group == group.0 }
            guard policies.contains(where: isOfGroup) else { return nil }
            return """
                SELECT entry.id AS entry_id
                FROM (
                    SELECT entry.id, entry.policy, row_number() OVER (
                            PARTITION BY entry.policy, \(group.columns) ORDER BY entry.created_at DESC, entry.id DESC) AS rank
                    FROM (\(decision.matched(expired, by: isOfGroup, columns: "entry.*"))) AS entry WHERE \(group.condition)
                ) AS entry
                WHERE entry.rank > \(decision.newest)
                """
        }
        try connection.run(
            """
            CREATE TEMPORARY TABLE outranked_entry AS
            \(outranked.isEmpty ? "SELECT NULL::bigint AS entry_id WHERE false" : "\(joined: outranked, by: " UNION ALL ")")
            """)
        try connection.runScript("ANALYZE pg_temp.outranked_entry")
    }

    /// The entries that no keep holds; of policies with a bound in bytes, all that they match.
    func decideEntries(_ decision: EntryDecision, _ expired: EntrySet) throws {
        let matched = decision.matched(
            expired, by: \.isOfEntries,
            columns: "entry.id, entry.policy, entry.sha512, entry.created_at, entry.key, \(Pins.holdEntry) AS is_pinned"
        )
        let isUnbounded = { (policy: RetentionPolicy) in policy.isOfEntries && !policy.isBounded }
        let useLimit = decision.useDayLimit(of: isUnbounded)
        let oldest = policies.filter(isUnbounded).compactMap(\.keeps.sinceUse).map { now - $0.seconds }.min()
        let isUnused: SQL =
            oldest.map { oldest in
                """
                (greatest(blob.created_at, blob.last_referenced_at) >= \(decision.useLimit(of: isUnbounded))) IS NOT TRUE
                AND NOT EXISTS (
                    SELECT FROM \(usesOfBlobs(since: oldest)) AS used
                    WHERE used.sha512 = entry.sha512 AND used.until >= \(useLimit))
                AND NOT EXISTS (
                    SELECT FROM \(usesOfKeys(since: oldest)) AS used
                    WHERE used.key = entry.key AND used.until >= \(useLimit))
                """
            } ?? "true"
        let hasBound: SQL = "entry.policy = ANY(\(boundedPolicies)::integer[])"
        try connection.run(
            """
            CREATE TEMPORARY TABLE decided_entry AS
            SELECT decided.*
            FROM (
                SELECT entry.id AS entry_id, entry.policy AS number, entry.sha512, entry.created_at, entry.is_pinned,
                    CASE WHEN blob.withdrawal_id IS NULL THEN blob.size END AS size,
                    CASE WHEN \(hasBound) THEN entry.key END AS key,
                    CASE WHEN \(hasBound) THEN greatest(blob.created_at, blob.last_referenced_at) END AS blob_at
                FROM (\(matched)) AS entry LEFT JOIN shacache.blob ON blob.sha512 = entry.sha512
                WHERE \(decision.isOld(of: isUnbounded)) AND \(isUnused) OFFSET '0'
            ) AS decided
            LEFT JOIN pg_temp.outranked_entry AS outranked ON outranked.entry_id = decided.entry_id
            WHERE outranked.entry_id IS NOT NULL OR decided.number <> ALL(\(rankingPolicies)::integer[])
            \(policies.contains(where: \.isOfEntries) ? "" : "WITH NO DATA" as SQL)
            """)
    }

    /// The numbers of those that keep the newest of a group, and have no bound.
    private var rankingPolicies: [String] {
        policies.indices.filter { policies[$0].keeps.newest != nil && !policies[$0].isBounded }.map { "\($0)" }
    }

    /// The numbers of those with a bound.
    var boundedPolicies: [String] { policies.indices.filter { policies[$0].isBounded }.map { "\($0)" } }
}

extension RetentionPolicy {
    var isOfEntries: Bool { if case .entries = subject { true } else { false } }
    /// In bytes.
    var isBounded: Bool { isOfEntries && keeps.bytes != nil }
}
