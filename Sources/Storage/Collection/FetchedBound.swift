import Foundation
import Postgres

/// One run of `shacache-admin collect fetched`: of what was fetched, and nobody uploaded, removes what was least recently used,
/// as far as it is too much. It can be fetched again, so that nothing of it waits as what retention lets go does: it is
/// marked, removed and moved to trash in one run, and freed by the next, which brings back what an entry has come to name.
public final class FetchedBound {
    private let blobs: BlobRepository
    /// In bytes; nil: there is none.
    private let limit: Int?
    private let host: String
    private let actor: String
    private let pages: DeletionRun
    private var session: Session { blobs.session }

    /// As the policy of what goes this way. Retention's have other names.
    static let policy = "[fetching] bytes"
    /// Of rows of trash; in the words of the index.
    private static let isInTrash: SQL = "policy = '[fetching] bytes'"

    /// What came in the last seconds stays: those who waited for it are being sent it.
    private static let untouched = 60

    /// Takes the lock that lets nothing else delete.
    ///
    /// - Parameters:
    ///   - limit: how many bytes may stay; nil: all.
    ///   - rate: blobs a second.
    /// - Throws: `CollectionError.isLocked` when a collection runs, or a backup.
    public init(
        of blobs: BlobRepository, limit: Int?, rate: Int, on host: String, by actor: String
    ) throws {
        (self.blobs, self.limit, self.host, self.actor) = (blobs, limit, host, actor)
        pages = try DeletionRun(in: blobs.session, rate: rate)
        // Where nothing is mounted, nothing is to be made in its place.
        try blobs.files.prepareTrash()
    }

    /// - Parameter ages: by which keys that were fetched are counted.
    /// - Throws: what ended it before its end. What is done stays done.
    /// - Returns: what is there, and what was done.
    public func run(_ ages: FetchedKeys.Limits) throws -> Table {
        let found = try FetchedTotal(measuring: session)
        let excess = limit.map { max(0, found.bytes - $0) } ?? 0
        var done = Done()
        if try excess > 0 || hasTrash() { done = try remove(excess) }
        let left = FetchedTotal(blobs: found.blobs - done.removedBlobs, bytes: found.bytes - done.removedBytes)
        try left.record(limit: limit, ages, in: session)
        if let problem = pages.problem { throw CollectionError.incomplete(problem) }
        return done.table(left, limit: limit)
    }

    private func hasTrash() throws -> Bool {
        try session.connection.run("SELECT FROM shacache.trash WHERE \(Self.isInTrash) LIMIT 1").first != nil
    }

    private func remove(_ excess: Int) throws -> Done {
        let record = try CollectionRecord(goingOnIn: session, on: host, by: actor)
        let before = try record.bytes(by: Self.policy)
        var done = Done()
        do {
            try pages.byIndexes {
                done.freedBlobs = try freeTrash(record)
                if excess > 0 { done.removedBlobs = try remove(excess, record) }
                // Also what a run that was killed has left.
                try pages.tolerating {
                    try pages.forEachPage("") { try self.blobs.moveRemoved(after: $0, for: record) }
                }
            }
        } catch {
            try? record.finishRunOfFetched(problem: "\(error)")
            throw error
        }
        let after = try record.bytes(by: Self.policy)
        (done.removedBytes, done.freedBytes) = (after.removed - before.removed, after.freed - before.freed)
        try record.finishRunOfFetched(problem: pages.problem)
        return done
    }

    /// - Returns: how many were freed.
    private func freeTrash(_ record: CollectionRecord) throws -> Int {
        try pages.forEachPage("") { try self.blobs.returnNamed(after: $0, where: Self.isInTrash, by: self.actor) }
        var freed = 0
        try pages.tolerating {
            freed = try pages.forEachPage(TrashPosition()) {
                try self.blobs.free(after: $0, olderThan: 0, where: Self.isInTrash, for: record)
            }
        }
        return freed
    }

    /// - Returns: how many were removed.
    private func remove(_ excess: Int, _ record: CollectionRecord) throws -> Int {
        let cutoff = try Cutoff(untouched: Self.untouched, asking: session)
        let queue = FetchedQueue(in: session, blobs.files, cutoff, now: Int(Date.now.timeIntervalSince1970))
        try queue.letGo(bytes: excess, policy: Self.policy)
        try pages.forEachPage("") { try self.blobs.mark(after: $0, cutoff, for: record) }
        return try pages.forEachPage("") { try self.blobs.removeGoing(after: $0, cutoff, for: record) }
    }

    private struct Done {
        var removedBlobs = 0
        var removedBytes = 0
        var freedBlobs = 0
        var freedBytes = 0

        /// For people and scripts.
        func table(_ left: FetchedTotal, limit: Int?) -> Table {
            let columns = [
                "fetched_blobs", "fetched_bytes", "bytes_limit", "removed_blobs", "removed_bytes", "freed_blobs",
                "freed_bytes",
            ]
            let values = [left.blobs, left.bytes, limit, removedBlobs, removedBytes, freedBlobs, freedBytes]
            return Table(columns: columns, rows: [values.map { $0.map { .number("\($0)") } ?? .null }])
        }
    }
}

/// The blobs that were fetched, but for those that are withdrawn.
private struct FetchedTotal {
    let blobs: Int
    let bytes: Int

    init(blobs: Int, bytes: Int) { (self.blobs, self.bytes) = (blobs, bytes) }

    init(measuring session: Session) throws {
        let row = try session.connection.run(
            """
            SELECT count(*), coalesce(sum(size), 0)::bigint FROM shacache.blob
            WHERE account_id IS NULL AND withdrawal_id IS NULL
            """
        ).first!
        self.init(blobs: row.int(0)!, bytes: row.int(1)!)
    }

    /// For the metrics, with the keys by their ages.
    func record(limit: Int?, _ ages: FetchedKeys.Limits, in session: Session) throws {
        try session.connection.run(
            """
            INSERT INTO shacache.fetched_total (blobs, bytes, bytes_limit, keys, stale_keys, outdated_keys)
            SELECT \(blobs)::bigint, \(bytes)::bigint, \(limit)::bigint, count(*),
                count(*) FILTER (WHERE age >= \(ages.fresh) AND age < \(ages.stale)), count(*) FILTER (WHERE age >= \(ages.stale))
            FROM (SELECT extract(epoch FROM now() - answered_at) AS age FROM shacache.fetched_key) AS known
            ON CONFLICT (is_only) DO UPDATE SET at = now(), blobs = excluded.blobs, bytes = excluded.bytes,
                bytes_limit = excluded.bytes_limit, keys = excluded.keys, stale_keys = excluded.stale_keys,
                outdated_keys = excluded.outdated_keys
            """)
    }
}

/// What was fetched, for the metrics.
public struct FetchedFigures: Sendable {
    /// As the last run of `collect fetched` has seen it.
    public struct Seen: Sendable {
        public let blobs: Int
        public let bytes: Int
        /// nil: there is none.
        public let bytesLimit: Int?
        public let keys: (fresh: Int, stale: Int, outdated: Int)
    }

    /// nil: there was none.
    public let seen: Seen?
    /// Since when the key waits that waits for longest to be asked for again, in seconds since 1970; nil: none does.
    public let oldestWanted: Int?

    public init(asking session: Session) throws {
        let (seen, wanted) = try session.reading {
            (
                try session.connection.run(
                    """
                    SELECT blobs, bytes, bytes_limit, keys - stale_keys - outdated_keys, stale_keys, outdated_keys
                    FROM shacache.fetched_total
                    """
                ).first,
                try session.connection.run(
                    """
                    SELECT floor(extract(epoch FROM min(wanted_at)))::bigint FROM shacache.fetched_key
                    WHERE wanted_at IS NOT NULL
                    """
                ).first!.int(0)
            )
        }
        self.seen = seen.map {
            Seen(
                blobs: $0.int(0)!, bytes: $0.int(1)!, bytesLimit: $0.int(2),
                keys: ($0.int(3)!, $0.int(4)!, $0.int(5)!))
        }
        oldestWanted = wanted
    }
}
