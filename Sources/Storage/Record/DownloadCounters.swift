import Postgres
import ShaCache

/// One file of an access log, which rotation may rename.
public struct LogIdentity: Sendable {
    /// SHA-256 of its beginning.
    public let fingerprint: [UInt8]
    /// For people: the host that wrote it, and its path when it was last read.
    let host: String
    let path: String

    public init(fingerprint: [UInt8], host: String, path: String) {
        self.fingerprint = fingerprint
        self.host = host
        self.path = path
    }
}

/// The counters of downloads and lookups, by day, and how far each access log is counted in them.
public struct DownloadCounters {
    let session: Session

    public init(_ session: Session) { self.session = session }

    /// How far a log is counted, in bytes of its text; nil when it never was.
    ///
    /// - Returns: also whether it is counted to an end after which nothing can be appended.
    public func position(of log: LogIdentity) throws -> (bytes: Int, isFinished: Bool)? {
        try session.connection.run(
            "SELECT position, is_finished FROM shacache.log_position WHERE fingerprint = \(log.fingerprint)"
        ).first.map { (bytes: $0.int(0)!, isFinished: $0.bool(1)) }
    }

    /// Adds the sums of the lines between two positions in a log, and moves its position, both or neither.
    ///
    /// - Returns: false when the log's position is not `start` any more, because a concurrent run has counted these
    ///   lines: then nothing was added.
    public func addSums(_ sums: DownloadSums, of log: LogIdentity, from start: Int, to end: Int) throws -> Bool {
        try session.connection.transaction {
            // First: a concurrent run over the same lines waits for this row, and then finds them counted.
            let moved = try session.connection.run(
                """
                INSERT INTO shacache.log_position AS known (fingerprint, host, path, position)
                VALUES (\(log.fingerprint), \(log.host), \(log.path), \(end))
                ON CONFLICT (fingerprint) DO UPDATE
                SET position = excluded.position, path = excluded.path, read_at = now()
                WHERE known.position = \(start)
                RETURNING position
                """)
            guard moved.count == 1 else { return false }
            try addBlobs(DownloadSums.Columns(sums.blobs))
            try addUpstreams(DownloadSums.Columns(sums.blobs))
            try addKeys(DownloadSums.Columns(sums.keys))
            try addDays(DownloadSums.Columns(sums.days))
            return true
        }
    }

    /// Records that nothing can be appended to a log any more, so that no run opens it again.
    public func markFinished(_ log: LogIdentity) throws {
        try session.connection.run(
            "UPDATE shacache.log_position SET is_finished = true WHERE fingerprint = \(log.fingerprint)")
    }

    // The inserts go in the order of the index, so that concurrent runs can't deadlock.
    private func addBlobs(_ sums: DownloadSums.Columns) throws {
        try session.connection.run(
            """
            INSERT INTO shacache.blob_download AS known (day, sha512, whole, partial, probes, bytes)
            SELECT day, sha512, whole, partial, probes, bytes
            FROM unnest(
                \(sums.days)::date[], \(sums.binaryNames)::bytea[], \(sums.whole)::bigint[], \(sums.partial)::bigint[],
                \(sums.probes)::bigint[], \(sums.bytes)::bigint[]
            ) AS new (day, sha512, whole, partial, probes, bytes)
            ORDER BY sha512, day
            ON CONFLICT (sha512, day) DO UPDATE
            SET whole = known.whole + excluded.whole, partial = known.partial + excluded.partial,
                probes = known.probes + excluded.probes, bytes = known.bytes + excluded.bytes
            """)
    }

    /// What was fetched counts for the upstream that it came from, as long as it is here.
    private func addUpstreams(_ sums: DownloadSums.Columns) throws {
        try session.connection.run(
            """
            INSERT INTO shacache.upstream_day AS known (day, upstream_id, downloads, sent_bytes)
            SELECT day, upstream_id, sum(whole + partial), sum(bytes)
            FROM unnest(
                \(sums.days)::date[], \(sums.binaryNames)::bytea[], \(sums.whole)::bigint[], \(sums.partial)::bigint[],
                \(sums.bytes)::bigint[]
            ) AS new (day, sha512, whole, partial, bytes)
            JOIN shacache.blob USING (sha512)
            WHERE upstream_id IS NOT NULL AND whole + partial > 0
            GROUP BY day, upstream_id ORDER BY day, upstream_id
            ON CONFLICT (day, upstream_id) DO UPDATE
            SET downloads = known.downloads + excluded.downloads, sent_bytes = known.sent_bytes + excluded.sent_bytes
            """)
    }

    /// Clients may ask for arbitrary keys: this many without entries are kept a day, the others are added up as one.
    private static let missedKeysPerDay = 10_000

    private func addKeys(_ sums: DownloadSums.Columns) throws {
        try session.connection.run(
            """
            WITH new AS (
                SELECT *
                FROM unnest(
                    \(sums.days)::date[], \(sums.textNames)::text[], \(sums.whole)::bigint[], \(sums.notFound)::bigint[],
                    \(sums.bytes)::bigint[]
                ) AS new (day, key, found, not_found, bytes)
            ), missed AS (
                SELECT day, count(*) AS keys FROM shacache.key_lookup
                WHERE found = 0 AND day IN (SELECT day FROM new) GROUP BY day
            )
            INSERT INTO shacache.key_lookup AS known (day, key, found, not_found, bytes)
            SELECT day, name, sum(found), sum(not_found), sum(bytes)
            FROM (
                SELECT
                    new.day, new.found, new.not_found, new.bytes,
                    CASE WHEN new.found > 0 OR old.key IS NOT NULL
                        -- Numbers only the keys that need a new row.
                        OR row_number() OVER (PARTITION BY new.day, new.found > 0, old.key IS NULL)
                            + coalesce(missed.keys, 0) <= \(Self.missedKeysPerDay)
                    THEN new.key ELSE '' END AS name
                FROM new
                LEFT JOIN missed ON missed.day = new.day
                LEFT JOIN shacache.key_lookup AS old ON old.key = new.key AND old.day = new.day
            ) AS named
            GROUP BY name, day
            ORDER BY name, day
            ON CONFLICT (key, day) DO UPDATE
            SET found = known.found + excluded.found, not_found = known.not_found + excluded.not_found,
                bytes = known.bytes + excluded.bytes
            """)
    }

    private func addDays(_ sums: DownloadSums.Columns) throws {
        try session.connection.run(
            """
            INSERT INTO shacache.download_day AS known (day, kind, whole, partial, probes, not_found, bytes)
            SELECT day, kind, whole, partial, probes, not_found, bytes
            FROM unnest(
                \(sums.days)::date[], \(sums.textNames)::text[], \(sums.whole)::bigint[], \(sums.partial)::bigint[],
                \(sums.probes)::bigint[], \(sums.notFound)::bigint[], \(sums.bytes)::bigint[]
            ) AS new (day, kind, whole, partial, probes, not_found, bytes)
            ORDER BY day, kind
            ON CONFLICT (day, kind) DO UPDATE
            SET whole = known.whole + excluded.whole, partial = known.partial + excluded.partial,
                probes = known.probes + excluded.probes, not_found = known.not_found + excluded.not_found,
                bytes = known.bytes + excluded.bytes
            """)
    }

    /// The bytes sent since downloads are counted, on all hosts, by kind: `blob` and `key`.
    public func sentBytes() throws -> [(kind: String, bytes: Int)] {
        let rows = try session.reading {
            try session.connection.run(
                "SELECT kind, sum(bytes)::bigint FROM shacache.download_day GROUP BY kind ORDER BY kind")
        }
        return rows.map { (kind: $0.text(0)!, bytes: $0.int(1)!) }
    }
    /// The months whose sums of all blobs, or of all keys, are not what their single rows add up to. By months: those
    /// that are added up have no days.
    func differingMonths() throws -> Table {
        Table(
            try session.connection.run(
                """
                WITH counted AS (
                    SELECT date_trunc('month', day::timestamp)::date AS month, 'blob' AS kind,
                        sum(whole + partial + probes) AS requests, sum(bytes) AS bytes
                    FROM shacache.blob_download GROUP BY month
                    UNION ALL
                    SELECT date_trunc('month', day::timestamp)::date AS month, 'key', sum(found + not_found), sum(bytes)
                    FROM shacache.key_lookup GROUP BY month
                ), stored AS (
                    -- Blobs that are not there have no rows of their own.
                    SELECT date_trunc('month', day::timestamp)::date AS month, kind,
                        sum(whole + partial + probes + CASE kind WHEN 'key' THEN not_found ELSE 0 END) AS requests,
                        sum(bytes) AS bytes
                    FROM shacache.download_day GROUP BY month, kind
                )
                SELECT month, kind, coalesce(stored.requests, 0) AS stored_requests,
                    coalesce(counted.requests, 0) AS counted_requests, coalesce(stored.bytes, 0) AS stored_bytes,
                    coalesce(counted.bytes, 0) AS counted_bytes
                FROM stored FULL JOIN counted USING (month, kind)
                WHERE coalesce(stored.requests, 0) <> coalesce(counted.requests, 0)
                    OR coalesce(stored.bytes, 0) <> coalesce(counted.bytes, 0)
                ORDER BY month, kind
                """))
    }
}
