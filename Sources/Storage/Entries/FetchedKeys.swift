import Postgres
public import ShaCache

/// What upstreams last said of keys, which lookups list beside the entries that were put here.
public struct FetchedKeys {
    let session: Session
    private var connection: Connection { session.connection }

    public init(_ session: Session) { self.session = session }

    /// How a lookup takes what is here of a key.
    public enum Age: Sendable {
        /// As it is.
        case fresh
        /// As it is, and the upstream is asked meanwhile.
        case stale
        /// The upstream is asked first. It may never have been, or not have had it.
        case outdated
    }

    /// Up to when what an upstream said is fresh, and stale: in seconds since it did.
    public struct Limits: Sendable {
        let fresh: Int
        let stale: Int

        public init(fresh: Int = 60, stale: Int = 3600) { (self.fresh, self.stale) = (fresh, stale) }
    }

    public func age(of key: Key, _ limits: Limits) throws -> Age {
        let seconds = try session.reading {
            try connection.run(
                """
                SELECT floor(extract(epoch FROM now() - answered_at))::bigint FROM shacache.fetched_key
                WHERE key = \(key.text)
                """
            ).first?.int(0)
        }
        guard let seconds, seconds < limits.stale else { return .outdated }
        return seconds < limits.fresh ? .fresh : .stale
    }

    /// Notes that a key is to be asked for again; once, however many look it up.
    public func want(_ key: Key) throws { try connection.run("SELECT shacache.want_key(\(key.text))") }

    /// A key that is to be asked for again, which no other process takes then.
    public func takeWanted() throws -> Key? {
        try connection.run(
            """
            UPDATE shacache.fetched_key SET wanted_at = NULL
            WHERE key = (
                SELECT key FROM shacache.fetched_key WHERE wanted_at IS NOT NULL
                ORDER BY wanted_at LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED)
            RETURNING key
            """
        ).first.map { try Key($0.text(0)!) }
    }
}

/// A key's list as a GET answers it.
public struct KeyList: Sendable {
    /// A list of pairs in JSON.
    public let bytes: [UInt8]
    /// nil when no upstream has a list of the key.
    public let provenance: Provenance?

    public init(bytes: [UInt8], provenance: Provenance? = nil) { (self.bytes, self.provenance) = (bytes, provenance) }
}

extension FetchedKeys {
    /// The pairs of the upstream in its order, then those that it hasn't and that were put here, oldest first. What is
    /// withdrawn here is left out.
    ///
    /// - Returns: nil when nothing is listed there, and nothing ever was.
    public func list(of key: Key) throws -> KeyList? {
        let (source, rows) = try session.reading {
            (
                try connection.run(
                    """
                    SELECT name, floor(extract(epoch FROM now() - answered_at))::bigint
                    FROM shacache.fetched_key JOIN shacache.upstream ON upstream.id = upstream_id WHERE key = \(key.text)
                    """
                ).first, try pairs(of: key)
            )
        }
        guard source != nil || rows.count > 0 else { return nil }
        var list = PairList()
        var provenance = source.map { Provenance(upstream: $0.text(0)!, age: $0.int(1)!) }
        for (index, row) in rows.filter({ !$0.bool(2) }).enumerated() {
            row.withBytes(0) { metadata in row.withBytes(1) { signature in list.append(metadata, signature) } }
            if row.bool(3) { provenance?.add(index + 1) }
        }
        return KeyList(bytes: list.json, provenance: provenance)
    }

    private func pairs(of key: Key) throws -> Rows {
        try connection.run(
            """
            SELECT metadata, signature, withdrawal_id IS NOT NULL, is_fetched
            FROM (
                SELECT position, own.id, fetched.metadata, fetched.signature, withdrawal_id, own.id IS NULL AS is_fetched
                FROM shacache.fetched_entry AS fetched
                LEFT JOIN shacache.entry AS own ON own.key = fetched.key AND own.digest = fetched.digest
                WHERE fetched.key = \(key.text)
                UNION ALL
                SELECT NULL, id, metadata, signature, withdrawal_id, false FROM shacache.entry AS own
                WHERE key = \(key.text) AND NOT EXISTS (
                    SELECT FROM shacache.fetched_entry AS fetched
                    WHERE fetched.key = own.key AND fetched.digest = own.digest)
            ) AS listed
            ORDER BY position, id
            """)
    }
}

extension FetchedKeys {
    /// The upstream of what is here of a key, by its name; nil when nothing of it was fetched.
    public func upstream(of key: Key) throws -> String? {
        try session.reading {
            try connection.run(
                """
                SELECT name FROM shacache.fetched_key JOIN shacache.upstream ON upstream.id = upstream_id
                WHERE key = \(key.text)
                """
            ).first?.text(0)
        }
    }

    /// Puts what an upstream says now in the place of what one said before.
    public func store(_ list: FetchedList, of key: Key, from upstream: String) throws {
        try withoutWaitingForDisk {
            try connection.run(
                "INSERT INTO shacache.upstream (name) VALUES (\(upstream)) ON CONFLICT (name) DO NOTHING")
            // Locks the row, so that of two answers one comes whole behind the other.
            let isKnown =
                try connection.run(
                    """
                    UPDATE shacache.fetched_key SET answered_at = now(), wanted_at = NULL
                    WHERE key = \(key.text) AND list_digest = \(list.digest)
                        AND upstream_id = (SELECT id FROM shacache.upstream WHERE name = \(upstream))
                    RETURNING key
                    """
                ).first != nil
            if !isKnown { try replace(list, of: key, from: upstream) }
        }
    }

    private func replace(_ list: FetchedList, of key: Key, from upstream: String) throws {
        try connection.run(
            """
            INSERT INTO shacache.fetched_key (key, upstream_id, list_digest, bytes, refused_pairs, refusal)
            SELECT \(key.text), id, \(list.digest), \(list.bytes), \(list.refusedPairs), \(list.refusal)
            FROM shacache.upstream WHERE name = \(upstream)
            ON CONFLICT (key) DO UPDATE
            SET upstream_id = excluded.upstream_id, answered_at = now(), wanted_at = NULL,
                list_digest = excluded.list_digest, bytes = excluded.bytes, refused_pairs = excluded.refused_pairs,
                refusal = excluded.refusal
            """)
        try connection.run("DELETE FROM shacache.fetched_entry WHERE key = \(key.text)")
        let pairs = list.pairs
        try connection.run(
            """
            INSERT INTO shacache.fetched_entry (
                key, position, metadata, signature, digest, sha512, signature_result, signer_id)
            SELECT \(key.text), position, metadata, signature, decode(digest, 'hex'), decode(sha512, 'hex'), result,
                nullif(signer, '')::bigint
            FROM unnest(
                \(pairs.map(\.metadata))::text[], \(pairs.map(\.signature))::text[],
                \(pairs.map { hex($0.digest) })::text[], \(pairs.map { $0.sha512.description })::text[],
                \(pairs.map(\.result.name))::text[], \(pairs.map { $0.result.signer.map(String.init) ?? "" })::text[]
            ) WITH ORDINALITY AS pair (metadata, signature, digest, sha512, result, signer, position)
            """)
    }

    /// The blobs that the pairs of a key name and that never came here, but for pairs that are withdrawn here.
    public func lackingBlobs(of key: Key) throws -> [Digest] {
        try connection.run(
            """
            SELECT sha512 FROM shacache.fetched_entry AS fetched
            WHERE key = \(key.text)
                AND NOT EXISTS (SELECT FROM shacache.blob WHERE blob.sha512 = fetched.sha512)
                AND NOT EXISTS (
                    SELECT FROM shacache.entry AS own
                    WHERE own.key = fetched.key AND own.digest = fetched.digest AND withdrawal_id IS NOT NULL)
            GROUP BY sha512 ORDER BY min(position)
            """
        ).digests
    }

    /// The upstream has no such key, or no more.
    public func forget(_ key: Key) throws {
        try withoutWaitingForDisk { try connection.run("DELETE FROM shacache.fetched_key WHERE key = \(key.text)") }
    }

    /// Forgets what was said longest ago, as far as there is too much of it.
    ///
    /// - Parameters:
    ///   - keys: how many are kept at most.
    ///   - bytes: of how many bytes.
    public func trim(keys: Int, bytes: Int) throws {
        try withoutWaitingForDisk {
            try connection.run(
                """
                DELETE FROM shacache.fetched_key WHERE key IN (
                    SELECT key FROM (
                        SELECT key, row_number() OVER newest AS number, sum(bytes + 1000) OVER newest AS sum
                        FROM shacache.fetched_key WINDOW newest AS (ORDER BY answered_at DESC, key)
                    ) AS known
                    WHERE number > \(keys) OR sum > \(bytes))
                """)
        }
    }

    /// What a crash takes back is asked for again.
    private func withoutWaitingForDisk(_ body: () throws -> Void) throws {
        try connection.transaction {
            try connection.run("SET LOCAL synchronous_commit = off")
            try body()
        }
    }
}
