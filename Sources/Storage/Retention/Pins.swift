import Postgres
public import ShaCache

/// What no retention policy removes, as operators say.
public struct Pins {
    let session: Session

    public init(_ session: Session) { self.session = session }

    public typealias Number = Int

    /// The condition for rows of `entry` that nothing removes.
    static let holdEntry: SQL =
        """
        (entry.id IN (SELECT pin.entry_id FROM shacache.pin WHERE removed_at IS NULL AND pin.entry_id IS NOT NULL)
        OR entry.key IN (SELECT pin.key FROM shacache.pin WHERE removed_at IS NULL AND pin.key IS NOT NULL)
        OR coalesce(entry.software_url IN (
            SELECT pin.software_url FROM shacache.pin
            WHERE removed_at IS NULL AND pin.software_url IS NOT NULL), false))
        """

    /// The condition for rows of `blob`. Of a key, what an upstream lists there is held too; entries that were put hold their
    /// blobs themselves.
    static let holdBlob: SQL =
        """
        (EXISTS (SELECT FROM shacache.pin WHERE pin.sha512 = blob.sha512 AND pin.removed_at IS NULL)
        OR EXISTS (
            SELECT FROM shacache.fetched_entry AS listed JOIN shacache.pin ON pin.key = listed.key
            WHERE listed.sha512 = blob.sha512 AND pin.removed_at IS NULL))
        """

    /// What is pinned. It need not be there yet.
    public enum Target: Sendable {
        /// All entries of a key.
        case key(Key)
        case entry(Int)
        case blob(Digest)
        /// All entries whose metadata has this `software_url`.
        case softwareRelease(url: String)
    }

    /// - Throws: `AdministrationError.exists`, when the same is pinned already.
    public func add(_ target: Target, because reason: Reason, by actor: String) throws -> Number {
        do {
            return try session.connection.transaction {
                let number = try session.connection.run(
                    """
                    INSERT INTO shacache.pin (actor, reason, key, entry_id, sha512, software_url)
                    VALUES (\(actor), \(reason.text), \(target.key), \(target.entry), \(target.digest), \(target.url))
                    RETURNING id
                    """
                ).first!.int(0)!
                try session.audit.append("pin add", of: "\(number)", by: actor, detail: "\(target): \(reason.text)")
                return number
            }
        } catch let error as DatabaseError where error.constraint == "pin_is_held_once" {
            throw AdministrationError.exists("a pin of", "\(target)")
        }
    }

    /// - Throws: `AdministrationError.unknown`, also when it was removed already.
    public func remove(_ number: Number, by actor: String) throws {
        try session.audit.change("pin remove", of: "\(number)", by: actor) {
            let removed = try session.connection.run(
                """
                UPDATE shacache.pin SET removed_at = now(), removed_by = \(actor)
                WHERE id = \(number) AND removed_at IS NULL RETURNING id
                """)
            guard removed.count == 1 else { throw AdministrationError.unknown("pin", "\(number)") }
        }
    }

    /// Those that hold, the oldest first.
    public func table() throws -> Table {
        Table(
            try session.connection.run(
                """
                SELECT id AS number, date_trunc('second', at) AS at, actor, reason, key, entry_id AS entry,
                    encode(sha512, 'hex') AS sha512, software_url AS software_release
                FROM shacache.pin WHERE removed_at IS NULL ORDER BY id
                """))
    }
}

extension Pins.Target: CustomStringConvertible {
    public var description: String {
        switch self {
        case .key(let key): "key \(key.text)"
        case .entry(let number): "entry \(number)"
        case .blob(let digest): "blob \(digest)"
        case .softwareRelease(let url): "software release \(url)"
        }
    }

    fileprivate var key: String? { if case .key(let key) = self { key.text } else { nil } }
    fileprivate var entry: Int? { if case .entry(let number) = self { number } else { nil } }
    fileprivate var digest: [UInt8]? { if case .blob(let digest) = self { digest.bytes } else { nil } }
    fileprivate var url: String? { if case .softwareRelease(let url) = self { url } else { nil } }
}
