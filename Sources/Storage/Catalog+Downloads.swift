import Postgres
import ShaCache

/// One file of an access log, however it is called by now.
public struct LogIdentity: Sendable {
    /// SHA-256 of how it begins.
    public let fingerprint: [UInt8]
    /// For people: where it was written, and where it was read last.
    let host: String
    let path: String

    public init(fingerprint: [UInt8], host: String, path: String) {
        self.fingerprint = fingerprint
        self.host = host
        self.path = path
    }
}

extension Catalog {
    /// How far a log was read, in bytes of its text; nil when it never was.
    ///
    /// - Returns: also whether that was to its end, and nothing can follow.
    public func position(of log: LogIdentity) throws -> (bytes: Int, isFinished: Bool)? {
        try connection.run(
            "SELECT position, is_finished FROM shacache.log_position WHERE fingerprint = \(log.fingerprint)"
        ).first.map { (bytes: $0.int(0)!, isFinished: $0.bool(1)) }
    }

    /// Adds what lies between two positions in a log, and moves its position, both or neither.
    ///
    /// - Returns: false when the log's position is not `start` any more, since another run has read on: then nothing
    ///   was added.
    public func add(_ sums: DownloadSums, of log: LogIdentity, from start: Int, to end: Int) throws -> Bool {
        try connection.transaction {
            // First, so that of two runs that come to the same lines, the second waits here, and finds them counted.
            let moved = try connection.run(
                """
                INSERT INTO shacache.log_position AS known (fingerprint, host, path, position)
                VALUES (\(log.fingerprint), \(log.host), \(log.path), \(end))
                ON CONFLICT (fingerprint) DO UPDATE
                SET position = excluded.position, path = excluded.path, read_at = now()
                WHERE known.position = \(start)
                RETURNING position
                """)
            guard moved.count == 1 else { return false }
            try addBlobs(DownloadColumns(sums.blobs))
            try addKeys(DownloadColumns(sums.keys))
            try addDays(DownloadColumns(sums.days))
            return true
        }
    }

    /// Notes that a log was read to an end that nothing can follow: it isn't opened any more.
    public func finish(_ log: LogIdentity) throws {
        try connection.run(
            "UPDATE shacache.log_position SET is_finished = true WHERE fingerprint = \(log.fingerprint)")
    }

    // In the order of the index: two runs then wait for each other, and none of them forever.
    private func addBlobs(_ sums: DownloadColumns) throws {
        try connection.run(
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

    /// Anybody can ask for keys that nobody ever listed: so many of them are kept on a day, the others added up as one.
    private static let missedKeysPerDay = 10_000

    private func addKeys(_ sums: DownloadColumns) throws {
        try connection.run(
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
                        -- The number of those alone that need a row.
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

    private func addDays(_ sums: DownloadColumns) throws {
        try connection.run(
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
}

/// Sums as the database takes many rows at once: a list for each column.
private struct DownloadColumns {
    private let sums: [(subject: DownloadSums.Subject, count: DownloadSums.Count)]

    init(_ sums: [DownloadSums.Subject: DownloadSums.Count]) { self.sums = sums.map { ($0.key, $0.value) } }

    var days: [String] { sums.map(\.subject.day) }
    var binaryNames: [String] { sums.map { "\\x\(hex($0.subject.name))" } }
    var textNames: [String] { sums.map { String(decoding: $0.subject.name, as: UTF8.self) } }
    var whole: [String] { list(\.whole) }
    var partial: [String] { list(\.partial) }
    var probes: [String] { list(\.probes) }
    var notFound: [String] { list(\.notFound) }
    var bytes: [String] { list(\.bytes) }

    private func list(_ column: KeyPath<DownloadSums.Count, Int>) -> [String] {
        sums.map { String($0.count[keyPath: column]) }
    }
}
