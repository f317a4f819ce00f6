import Postgres
import ShaCache

extension LocalBlobs.Shelf {
    /// All whose files are to be as they were stored.
    static let ofBlobs = (0...256).map { Self(number: $0)! }

    /// In the database.
    fileprivate init?(number: Int) {
        switch number {
        case 0...255: self = .visible(UInt8(number))
        case 256: self = .hidden
        default: return nil
        }
    }

    fileprivate var number: Int {
        switch self {
        case .visible(let byte): Int(byte)
        case .hidden: 256
        case .quarantine, .trash: preconditionFailure("what readers don't get is not read again")
        }
    }
}

/// What hosts have read again of the store, and the shelves that they read now. The database has one store
/// (docs/install.md, "Several hosts"), so a shelf is whichever host's that takes it first.
struct ScrubShelves {
    let session: Session
    private var connection: Connection { session.connection }

    /// Points in time are the database's, or a host whose clock is wrong would read the same again and again.
    ///
    /// - Parameter age: in seconds.
    /// - Returns: as the database writes it.
    func time(_ age: Int) throws -> String {
        try connection.run("SELECT (now() - make_interval(secs => \(age)))::text").first!.text(0)!
    }

    /// The shelves that no whole round has read since then, the longest ago first.
    func due(since: String) throws -> [LocalBlobs.Shelf] {
        try connection.run(
            """
            SELECT shelf FROM shacache.scrub_shelf WHERE \(Self.isDue(since))
            ORDER BY finished_at NULLS FIRST, started_at NULLS LAST, shelf
            """
        ).compactMap { LocalBlobs.Shelf(number: $0.int(0)!) }
    }

    private static func isDue(_ since: String) -> SQL { "(finished_at IS NULL OR finished_at < \(since)::timestamptz)" }

    /// Takes a shelf for this session, and goes on where its last round was left.
    ///
    /// - Returns: nil when another host reads it, or has read it by now.
    func claim(_ shelf: LocalBlobs.Shelf, dueSince since: String, on host: String) throws -> ClaimedShelf? {
        guard try session.tryLock(.scrubShelf(shelf.number)) else { return nil }
        let row = try connection.run(
            """
            UPDATE shacache.scrub_shelf SET host = \(host), started_at = coalesce(started_at, now())
            WHERE shelf = \(shelf.number) AND \(Self.isDue(since)) AND \(Self.isUnhurried) RETURNING position
            """
        ).first
        guard let row else {
            try release(shelf)
            return nil
        }
        return ClaimedShelf(shelf: shelf, position: row.digest(0))
    }

    /// Always true: the transaction doesn't wait for the database's disk. What a crash there forgets is read again.
    private static let isUnhurried: SQL = "set_config('synchronous_commit', 'off', true) = 'off'"

    /// Notes how far a shelf was read.
    func record(_ claimed: ClaimedShelf) throws {
        try connection.run(
            """
            UPDATE shacache.scrub_shelf
            SET position = \(claimed.position?.bytes), files = files + \(claimed.files), bytes = bytes + \(claimed.bytes)
            WHERE shelf = \(claimed.shelf.number) AND \(Self.isUnhurried)
            """)
    }

    /// Notes that all of a shelf was read.
    func finish(_ claimed: ClaimedShelf) throws {
        try connection.run(
            """
            UPDATE shacache.scrub_shelf
            SET position = NULL, started_at = NULL, finished_at = now(), files = files + \(claimed.files),
                bytes = bytes + \(claimed.bytes)
            WHERE shelf = \(claimed.shelf.number) AND \(Self.isUnhurried)
            """)
    }

    func release(_ shelf: LocalBlobs.Shelf) throws { try session.unlock(.scrubShelf(shelf.number)) }

    /// In bytes: all that was acknowledged, about as much as there is to read.
    func bytesOfStore() throws -> Int {
        try connection.run("SELECT coalesce(sum(bytes), 0)::bigint FROM shacache.account_usage").first!.int(0)!
    }
}

/// A shelf that this session reads.
struct ClaimedShelf {
    let shelf: LocalBlobs.Shelf
    /// The last blob that was read; nil at the beginning.
    var position: Digest?
    /// Read and not recorded yet, as are the bytes.
    var files = 0
    var bytes = 0

    mutating func add(_ file: ReadAhead.File) {
        position = file.digest
        guard file.presence != .absent else { return }
        files += 1
        bytes += file.bytes
    }
}

/// For the metrics.
public struct ScrubFigures: Sendable {
    /// When the shelf was read that wasn't for longest, or came to be there, in seconds since 1970.
    public let oldest: Int
    /// Read by all scrubs.
    public let bytes: Int
    /// Damaged files that were ever found.
    public let found: Int
    /// Those that are not healed.
    public let open: Int

    public init(asking session: Session) throws {
        let row = try session.reading {
            try session.connection.run(
                """
                SELECT floor(extract(epoch FROM min(coalesce(finished_at, added_at))))::bigint, sum(bytes)::bigint,
                    (SELECT count(*) FROM shacache.scrub_finding),
                    (SELECT count(*) FROM shacache.scrub_finding WHERE healed_at IS NULL)
                FROM shacache.scrub_shelf
                """
            ).first!
        }
        (oldest, bytes, found, open) = (row.int(0)!, row.int(1)!, row.int(2)!, row.int(3)!)
    }
}
