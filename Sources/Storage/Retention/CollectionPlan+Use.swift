import Postgres

/// When things were last used: uploaded again, named by a new entry, downloaded, looked up, or asked for in a list. Downloads and
/// lookups are known by the day, and a day counts to its end.
extension CollectionPlan {
    /// - Throws: `RetentionError` when a policy goes by use, and a host hasn't counted its access log lately: what was
    ///   downloaded there would count as unused.
    func checkUse() throws {
        guard let policy = policies.first(where: \.keeps.needUse) else { return }
        let late = try connection.run(
            """
            SELECT count(*),
                string_agg(
                    format('%s (last at %s)', host, to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI "UTC"')), ', ' ORDER BY host
                ) FILTER (WHERE at < to_timestamp(\(now - Self.longestLag)))
            FROM shacache.task_run WHERE task = \(TimedTask.ingestLog.rawValue) AND NOT is_forgotten
            """
        ).first!
        if late.int(0) == 0 {
            throw RetentionError(
                policy, "it goes by use, which isn't known: no host has ever run `shacache-admin ingest-log`")
        }
        if let hosts = late.text(1) {
            throw RetentionError(
                policy, "it goes by use, which isn't known: `shacache-admin ingest-log` is late on \(hosts)")
        }
    }

    /// Seconds. The timer runs every ten minutes; whatever a policy keeps for less than this is young in any case.
    private static let longestLag = 86400

    /// Since when downloads are counted, in seconds since 1970: whatever is older may have been used at any time before.
    func beginOfUse() throws -> Int {
        let begin = try connection.run(
            "SELECT extract(epoch FROM min(day)::timestamptz)::bigint FROM shacache.download_day"
        ).first!.int(0)
        return begin ?? now
    }

    /// - Parameter isBounded: all times are needed, to find what was used least recently; else those that a policy keeps for.
    func findUse(isBounded: Bool) throws {
        guard isBounded || policies.contains(where: { $0.keeps.sinceUse != nil }) else { return }
        let oldest = isBounded ? Self.always : policies.compactMap(\.keeps.sinceUse).map { now - $0.seconds }.min()!
        // The first day of a month may stand for all of it (fold_download_month), but not in this month and the last.
        let end: SQL = """
            CASE WHEN extract(day FROM day) = 1 AND day < date_trunc('month', to_timestamp(\(now))) - interval '1 month'
            THEN day + interval '1 month' ELSE day + interval '1 day' END
            """
        // Whoever only looks whether there is one takes each as it comes: adding up takes longer.
        let at: SQL = isBounded ? "max(at)" : "at"
        let byBlob: SQL = isBounded ? "GROUP BY sha512" : ""
        let byKey: SQL = isBounded ? "GROUP BY key" : ""
        let since: SQL = "(to_timestamp(\(oldest)) - interval '32 days')::date"
        try connection.run(
            """
            INSERT INTO pg_temp.used_blob
            SELECT sha512, \(at)
            FROM (
                SELECT sha512, (\(end))::timestamptz AS at FROM shacache.blob_download WHERE day >= \(since)
                UNION ALL
                SELECT sha512, (day + 1)::timestamptz FROM shacache.blob_question WHERE day >= \(since)
                UNION ALL
                SELECT sha512, greatest(created_at, last_referenced_at) FROM shacache.blob
            ) AS used
            WHERE at >= to_timestamp(\(oldest)) \(byBlob)
            """)
        try connection.run(
            """
            INSERT INTO pg_temp.used_key
            SELECT key, \(at)
            FROM (
                SELECT key, (\(end))::timestamptz AS at FROM shacache.key_lookup WHERE day >= \(since) AND found > 0
                UNION ALL
                SELECT key, (day + 1)::timestamptz FROM shacache.key_question WHERE day >= \(since)
            ) AS used
            WHERE at >= to_timestamp(\(oldest)) \(byKey)
            """)
        try connection.runScript("ANALYZE pg_temp.used_blob; ANALYZE pg_temp.used_key")
    }
}
