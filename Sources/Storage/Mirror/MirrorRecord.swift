import Postgres

/// How far mirrors have come, and what they could not do yet. As shacache_admin.
public struct MirrorRecord {
    let session: Session
    private var connection: Connection { session.connection }

    public init(_ session: Session) { self.session = session }

    /// What is mirrored of a feed.
    public struct Selection: Sendable {
        /// Its name.
        public let upstream: String
        /// Of the keys; empty: all.
        public let keyPrefix: String
        /// In seconds since 1970; nil: all.
        public let since: Int?

        public init(upstream: String, keyPrefix: String = "", since: Int? = nil) {
            (self.upstream, self.keyPrefix, self.since) = (upstream, keyPrefix, since)
        }
    }

    public typealias Number = Int

    /// How far a mirror has come with a feed.
    public struct Position: Sendable {
        /// All up to it is done, or failed.
        public var number = 0
        /// The name of the numbering that it is of; nil: it has not begun.
        public var numbering: String?
        /// When the upstream accepted or withdrew the last that was read, in seconds since 1970.
        public var time: Int?

        public init() {}
    }

    /// Notes that a mirror begins.
    ///
    /// - Returns: its number, and where it is to go on.
    public func begin(_ selection: Selection, isFollowing: Bool) throws -> (number: Number, position: Position) {
        try connection.transaction {
            let upstream = try id(of: selection.upstream)
            let row = try connection.run(
                """
                INSERT INTO shacache.mirror (upstream_id, key_prefix, since, is_following, current_at)
                VALUES (
                    \(upstream), \(selection.keyPrefix), coalesce(to_timestamp(\(selection.since)::bigint), '-infinity'),
                    \(isFollowing), '-infinity')
                ON CONFLICT (upstream_id, key_prefix, since) DO UPDATE SET is_following = excluded.is_following
                RETURNING id, number, numbering
                """
            ).first!
            var position = Position()
            (position.number, position.numbering) = (row.int(1)!, row.text(2))
            return (row.int(0)!, position)
        }
    }

    private func id(of upstream: String) throws -> Int {
        try connection.run("INSERT INTO shacache.upstream (name) VALUES (\(upstream)) ON CONFLICT (name) DO NOTHING")
        return try connection.run("SELECT id FROM shacache.upstream WHERE name = \(upstream)").first!.int(0)!
    }

    /// What came of items since the last time, and how far that leads.
    public struct Outcome: Sendable {
        public var done: [MirrorItem] = []
        public var failed: [MirrorItem: MirrorFailure] = [:]
        /// nil: of no feed.
        public var position: Position?
        /// Whether all that the feed has is done, or failed.
        public var isCurrent = false

        public init() {}
    }

    /// Both or neither: no position is behind an item that is neither done nor on record. What a crash takes back is done
    /// once more.
    ///
    /// - Parameter mirror: nil: of no feed.
    /// - Returns: the items that failed and were not on record.
    public func note(_ outcome: Outcome, of mirror: Number?, from upstream: String) throws -> [MirrorItem] {
        try connection.transaction {
            try connection.run("SET LOCAL synchronous_commit = off")
            let upstream = try id(of: upstream)
            if !outcome.done.isEmpty { try forget(outcome.done, of: upstream) }
            let new = outcome.failed.isEmpty ? [] : try record(outcome.failed, of: upstream)
            if let mirror, let position = outcome.position {
                try connection.run(
                    """
                    UPDATE shacache.mirror
                    SET numbering = \(position.numbering), number = \(position.number),
                        item_at = coalesce(to_timestamp(\(position.time)::bigint), item_at),
                        current_at = CASE WHEN \(outcome.isCurrent) THEN now() ELSE current_at END
                    WHERE id = \(mirror)
                    """)
            }
            return new
        }
    }

    private func forget(_ items: [MirrorItem], of upstream: Int) throws {
        try connection.run(
            """
            DELETE FROM shacache.mirror_item
            USING unnest(\(items.map(\.kind.rawValue))::text[], \(items.map(\.name))::text[]) AS done (kind, name)
            WHERE upstream_id = \(upstream) AND mirror_item.kind = done.kind AND mirror_item.name = done.name
            """)
    }

    private func record(_ failures: [MirrorItem: MirrorFailure], of upstream: Int) throws -> [MirrorItem] {
        let items = Array(failures.keys)
        return try connection.run(
            """
            INSERT INTO shacache.mirror_item AS item (upstream_id, kind, name, reason, is_absent, due_at)
            SELECT \(upstream), kind, name, reason, is_absent, now() + interval '1 minute'
            FROM unnest(
                \(items.map(\.kind.rawValue))::text[], \(items.map(\.name))::text[],
                \(items.map { failures[$0]!.reason })::text[], \(items.map { "\(failures[$0]!.isAbsent)" })::text[]::boolean[]
            ) AS failed (kind, name, reason, is_absent)
            ON CONFLICT (upstream_id, kind, name) DO UPDATE
            SET reason = excluded.reason, is_absent = excluded.is_absent, tries = item.tries + 1, tried_at = now(),
                due_at = now() + least(interval '1 minute' * 2 ^ least(item.tries, 11), interval '1 day')
            RETURNING kind, name, tries
            """
        ).filter { $0.int(2) == 1 }.map { MirrorItem($0) }
    }

    /// Items that failed, those that were tried longest ago first; before that, it forgets blobs that nothing names any more.
    ///
    /// - Parameters:
    ///   - onlyDue: those whose time to be tried again has come.
    ///   - most: how many.
    public func failed(of upstream: String, onlyDue: Bool, most: Int) throws -> [MirrorItem] {
        let upstream = try id(of: upstream)
        try connection.run(
            """
            DELETE FROM shacache.mirror_item
            WHERE upstream_id = \(upstream) AND kind = 'blob'
                AND NOT EXISTS (SELECT FROM shacache.fetched_entry WHERE sha512 = decode(name, 'hex'))
            """)
        return try connection.run(
            """
            SELECT kind, name FROM shacache.mirror_item
            WHERE upstream_id = \(upstream) AND (NOT \(onlyDue) OR due_at <= now())
            ORDER BY tried_at, kind, name LIMIT \(most)
            """
        ).map { MirrorItem($0) }
    }

    /// Whether something that was fetched names a blob.
    public func isNamed(_ blob: String) throws -> Bool {
        try connection.run(
            "SELECT EXISTS (SELECT FROM shacache.fetched_entry WHERE sha512 = decode(\(blob), 'hex'))"
        ).first!.bool(0)
    }
}

extension MirrorItem {
    /// - Parameter row: that begins with its kind and its name.
    fileprivate init(_ row: ResultRow) { self.init(Kind(rawValue: row.text(0)!)!, row.text(1)!) }
}

/// For operators.
extension MirrorRecord {
    /// The feeds that are mirrored.
    public func positions() throws -> Table {
        Table(
            try connection.run(
                """
                SELECT name AS upstream, nullif(key_prefix, '') AS key_prefix,
                    CASE WHEN since > '-infinity' THEN since END AS since, number,
                    CASE WHEN is_following THEN 'yes' ELSE 'no' END AS follows,
                    date_trunc('second', item_at) AS item_at,
                    date_trunc('second', nullif(current_at, '-infinity')) AS current_at
                FROM shacache.mirror JOIN shacache.upstream ON upstream.id = upstream_id
                ORDER BY name, key_prefix, since
                """))
    }

    /// What could not be fetched yet, or not let go.
    public func items() throws -> Table {
        Table(
            try connection.run(
                """
                SELECT upstream.name AS upstream, kind, mirror_item.name,
                    CASE WHEN is_absent THEN 'absent' ELSE 'failed' END AS state, reason, tries,
                    date_trunc('second', first_at) AS first_at, date_trunc('second', tried_at) AS tried_at,
                    date_trunc('second', due_at) AS due_at
                FROM shacache.mirror_item JOIN shacache.upstream ON upstream.id = upstream_id
                ORDER BY upstream.name, is_absent, first_at, kind, mirror_item.name
                """))
    }

    /// Forgets how far the mirrors of an upstream have come, and what they could not do.
    ///
    /// - Throws: `AdministrationError.unknown` when there is none.
    public func forget(_ upstream: String, by actor: String) throws {
        try session.audit.change("mirror forget", of: upstream, by: actor) {
            let known = "SELECT id FROM shacache.upstream WHERE name = \(upstream)" as SQL
            let mirrors = try connection.run(
                "DELETE FROM shacache.mirror WHERE upstream_id = (\(known)) RETURNING id"
            ).count
            let items = try connection.run(
                "DELETE FROM shacache.mirror_item WHERE upstream_id = (\(known)) RETURNING name"
            ).count
            guard mirrors + items > 0 else { throw AdministrationError.unknown("mirror of", upstream) }
        }
    }
}
