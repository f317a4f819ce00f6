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

    /// A subquery of `sha512` and `until`, a day: downloads of blobs, and questions for them, were before it. Days take a
    /// fraction of what points in time do.
    ///
    /// - Parameter oldest: what is older may be left out; in seconds since 1970.
    func usesOfBlobs(since oldest: Int) -> SQL {
        """
        (
            SELECT sha512, \(endOfPeriod) AS until FROM shacache.blob_download WHERE day >= \(Self.firstDay(since: oldest))
            UNION ALL
            SELECT sha512, day + 1 FROM shacache.blob_question WHERE day >= \(Self.firstDay(since: oldest))
        )
        """
    }

    /// A subquery of `key` and `until`: lookups of keys, and questions for them.
    func usesOfKeys(since oldest: Int) -> SQL {
        """
        (
            SELECT key, \(endOfPeriod) AS until FROM shacache.key_lookup
            WHERE day >= \(Self.firstDay(since: oldest)) AND found > 0
            UNION ALL
            SELECT key, day + 1 FROM shacache.key_question WHERE day >= \(Self.firstDay(since: oldest))
        )
        """
    }

    /// Of a row with `day`. The first day of a month may stand for all of it (fold_download_month), but not in this month and
    /// the last.
    private var endOfPeriod: SQL {
        """
        CASE WHEN day < (date_trunc('month', to_timestamp(\(now))) - interval '1 month')::date AND date_part('day', day) = 1
        THEN (day + interval '1 month')::date ELSE day + 1 END
        """
    }

    private static func firstDay(since oldest: Int) -> SQL { "(to_timestamp(\(oldest)) - interval '32 days')::date" }
}
