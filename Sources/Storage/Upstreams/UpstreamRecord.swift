import Postgres
public import ShaCache

/// What came of asking one upstream, since it was last written down.
public struct UpstreamSums: Sendable, Equatable {
    public var blobs = 0
    /// Of blobs, whatever became of them.
    public var bytes = 0
    public var keys = 0
    public var failures = 0
    public var faults = 0
    public var refusedPairs = 0

    public init() {}

    public static func += (sums: inout UpstreamSums, more: UpstreamSums) {
        sums.blobs += more.blobs
        sums.bytes += more.bytes
        sums.keys += more.keys
        sums.failures += more.failures
        sums.faults += more.faults
        sums.refusedPairs += more.refusedPairs
    }
}

/// Something wrong that an upstream gave.
public struct UpstreamFault: Sendable {
    public enum Subject: Sendable {
        case blob(Digest)
        case key(Key)
    }

    let subject: Subject
    /// A stable name.
    let reason: String
    let detail: String

    public init(_ subject: Subject, reason: String, detail: String) {
        (self.subject, self.reason, self.detail) = (subject, reason, detail)
    }
}

/// The record of what upstreams gave, by day.
public struct UpstreamRecord {
    let session: Session

    public init(_ session: Session) { self.session = session }

    /// Faults that are kept.
    private static let kept = 10_000

    /// Writes down what came since the last time; all of it or nothing. It can wait for no disk: a crash of the database
    /// loses the last seconds.
    ///
    /// - Parameter isAway: whether the upstream isn't asked, since it did not answer.
    public func add(
        _ sums: UpstreamSums, _ faults: [UpstreamFault], of upstream: String, isAway: Bool, on host: String
    ) throws {
        try session.connection.transaction {
            try session.connection.run("SET LOCAL synchronous_commit = off")
            try session.connection.run(
                "INSERT INTO shacache.upstream (name) VALUES (\(upstream)) ON CONFLICT (name) DO NOTHING")
            let id = try session.connection.run("SELECT id FROM shacache.upstream WHERE name = \(upstream)").first!.int(
                0)!
            if sums != UpstreamSums() { try add(sums, of: id) }
            for fault in faults { try add(fault, of: id) }
            if !faults.isEmpty { try trim() }
            try session.connection.run(
                isAway
                    ? "INSERT INTO shacache.upstream_absence (upstream_id, host) VALUES (\(id), \(host)) ON CONFLICT DO NOTHING"
                    : "DELETE FROM shacache.upstream_absence WHERE upstream_id = \(id) AND host = \(host)")
        }
    }

    private func add(_ sums: UpstreamSums, of id: Int) throws {
        try session.connection.run(
            """
            INSERT INTO shacache.upstream_day AS known (
                day, upstream_id, blobs, bytes, keys, failures, faults, refused_pairs)
            VALUES ((now() AT TIME ZONE 'UTC')::date, \(id), \(sums.blobs), \(sums.bytes), \(sums.keys), \(sums.failures),
                \(sums.faults), \(sums.refusedPairs))
            ON CONFLICT (day, upstream_id) DO UPDATE SET blobs = known.blobs + excluded.blobs,
                bytes = known.bytes + excluded.bytes, keys = known.keys + excluded.keys,
                failures = known.failures + excluded.failures, faults = known.faults + excluded.faults,
                refused_pairs = known.refused_pairs + excluded.refused_pairs
            """)
    }

    private func add(_ fault: UpstreamFault, of id: Int) throws {
        try session.connection.run(
            """
            INSERT INTO shacache.upstream_fault AS known (upstream_id, reason, sha512, key, detail)
            VALUES (\(id), \(fault.reason), \(fault.subject.digest), \(fault.subject.key), \(fault.detail))
            ON CONFLICT (upstream_id, reason, sha512, key)
            DO UPDATE SET times = known.times + 1, last_at = now(), detail = excluded.detail
            """)
    }

    private func trim() throws {
        try session.connection.run(
            """
            DELETE FROM shacache.upstream_fault WHERE id IN (
                SELECT id FROM shacache.upstream_fault ORDER BY last_at DESC, id DESC OFFSET \(Self.kept))
            """)
    }
}

extension UpstreamFault.Subject {
    fileprivate var digest: [UInt8]? { if case .blob(let digest) = self { digest.bytes } else { nil } }
    fileprivate var key: String? { if case .key(let key) = self { key.text } else { nil } }
}

/// What upstreams gave, for the metrics.
public struct UpstreamFigures: Sendable {
    public struct Upstream: Sendable {
        public let name: String
        /// Since the record began.
        public let sums: UpstreamSums
        public let downloads: Int
        public let sentBytes: Int
    }

    public let upstreams: [Upstream]
    /// Those that are not asked, since they did not answer; on which host.
    public let absences: [(upstream: String, host: String)]

    public init(asking session: Session) throws {
        let (sums, absences) = try session.reading {
            (
                try session.connection.run(
                    """
                    SELECT name, sum(blobs)::bigint, sum(bytes)::bigint, sum(keys)::bigint, sum(failures)::bigint,
                        sum(faults)::bigint, sum(refused_pairs)::bigint, sum(downloads)::bigint, sum(sent_bytes)::bigint
                    FROM shacache.upstream_day JOIN shacache.upstream ON upstream.id = upstream_id
                    GROUP BY name ORDER BY name
                    """),
                try session.connection.run(
                    """
                    SELECT name, host FROM shacache.upstream_absence JOIN shacache.upstream ON upstream.id = upstream_id
                    ORDER BY name, host
                    """)
            )
        }
        upstreams = sums.map { row in
            var sums = UpstreamSums()
            (sums.blobs, sums.bytes, sums.keys) = (row.int(1)!, row.int(2)!, row.int(3)!)
            (sums.failures, sums.faults, sums.refusedPairs) = (row.int(4)!, row.int(5)!, row.int(6)!)
            return Upstream(name: row.text(0)!, sums: sums, downloads: row.int(7)!, sentBytes: row.int(8)!)
        }
        self.absences = absences.map { ($0.text(0)!, $0.text(1)!) }
    }
}
