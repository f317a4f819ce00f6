import Postgres
import ShaCache

/// Every advisory lock that is taken in the database, in the order in which one transaction may take several of them:
/// the cases below, from the first to the last. Since all transactions keep to it, none of these locks is part of a
/// deadlock. Each is held to the end of its transaction.
///
/// The SQL functions of the fast path (`store_entries`, `admit_blobs`) take the locks of several uploads at once. They
/// never wait for one (`pg_try_advisory_xact_lock`): an upload whose lock is taken is stored alone, through
/// `Session.lock`. Nor does a collection (`Session.tryLocks`): it leaves to its next run what is in use.
///
/// Locks of sessions are apart from these: `SessionLock`. So is `hold_feed` (`sql/functions/feed.sql`), which everybody
/// shares: its numbers begin at (2^30, 0), and nobody ever waits for it.
///
/// Rows are locked behind these: a withdrawal's row before the rows that it hides (of several withdrawals, by their
/// numbers), those of entries by their numbers, of blobs by their digests; a blob's row before an entry that names it is
/// inserted; last the accounts' sums (`account_usage`), by their accounts. A group of uploads waits for the sums alone, and,
/// rarely, one of entries for a blob's row that came meanwhile; who holds one of them waits for nothing of the group's.
/// Neither a group nor a collection that hides waits for an entry (`SKIP LOCKED`), since they lock several in no order:
/// who withdraws entries by their numbers, or revokes a signer, locks them without the locks of their keys.
enum LockOrder {
    /// (5, 0): one migration of the schema at a time.
    case migration
    /// (3, 0), by `begin_maintenance` in SQL: one maintenance of the record at a time. With none of the others.
    case maintenance
    /// (9, 0): one new request for an account at a time, since each counts those that wait. With none of the others.
    case requestingAccount
    /// (2, 0): one repair of the accounts' sums at a time, or two would add one difference twice.
    case usageRepair
    /// (4, 0). Shared by transactions that store entries, until they end; taken alone by one that revokes a signer.
    case storingEntries
    case revokingSigner
    /// 64 bits, by the function `key_lock`: what is put under a key or withdrawn from it counts what is there.
    case key(Key)
    /// 64 bits, by the function `blob_lock`: one upload, withdrawal or move of a blob's file at a time. It shares the
    /// space of keys: two with one number merely wait for each other.
    case blob(Digest)
    /// (1, account): uploads of an account with a quota or a daily limit, which count what those before them stored.
    /// All others of the account don't wait for it.
    case account(AccountID)

    fileprivate var rank: Int {
        switch self {
        case .migration: 0
        case .maintenance: 1
        case .requestingAccount: 2
        case .usageRepair: 3
        case .storingEntries, .revokingSigner: 4
        case .key: 5
        case .blob: 6
        case .account: 7
        }
    }

    fileprivate var statement: SQL {
        switch self {
        case .migration: "SELECT pg_advisory_xact_lock(5, 0)"
        case .maintenance: "SELECT pg_advisory_xact_lock(3, 0)"
        case .requestingAccount: "SELECT pg_advisory_xact_lock(9, 0)"
        case .usageRepair: "SELECT pg_advisory_xact_lock(2, 0)"
        case .storingEntries: "SELECT pg_advisory_xact_lock_shared(4, 0)"
        case .revokingSigner: "SELECT pg_advisory_xact_lock(4, 0)"
        case .key(let key): "SELECT pg_advisory_xact_lock(shacache.key_lock(\(key.text)))"
        case .blob(let digest): "SELECT pg_advisory_xact_lock(shacache.blob_lock(\(digest.bytes)))"
        case .account(let id): "SELECT pg_advisory_xact_lock(1, \(id))"
        }
    }
}

/// A lock that a session holds until it unlocks it or ends, over many transactions: one that is open as long would keep
/// PostgreSQL from cleaning up. It is never waited for, and so is part of no deadlock.
enum SessionLock {
    /// (6, shelf): one host reads a shelf at a time.
    case scrubShelf(Int)
    /// (7, of its name): one scrub of a host at a time.
    case scrub(host: String)
    /// (8, 0): held by a collection for its whole run, and by a backup, so that nothing is removed meanwhile.
    case deletion

    fileprivate var numbers: SQL {
        switch self {
        case .scrubShelf(let number): "6, \(number)"
        case .scrub(let host): "7, hashtext(\(host))"
        case .deletion: "8, 0"
        }
    }
}

extension Session {
    /// - Returns: false when another session has the lock.
    func tryLock(_ lock: SessionLock) throws -> Bool {
        try connection.run("SELECT pg_try_advisory_lock(\(lock.numbers))").first!.bool(0)
    }

    func unlock(_ lock: SessionLock) throws { try connection.run("SELECT pg_advisory_unlock(\(lock.numbers))") }
}

/// The last lock of a session, and the transaction that took it.
struct TakenLock {
    let transaction: Int
    let rank: Int
}

extension Session {
    /// Waits for a lock, and holds it until the transaction ends. The only place that waits for one, but for
    /// `begin_maintenance`.
    func lock(_ lock: LockOrder) throws {
        let taken = TakenLock(transaction: connection.transactions, rank: lock.rank)
        if let lastLock, lastLock.transaction == taken.transaction {
            assert(lastLock.rank < taken.rank, "a transaction takes \(lock) behind a lock of rank \(lastLock.rank)")
        }
        lastLock = taken
        try connection.run(lock.statement)
    }

    /// Takes the locks of many keys or blobs at once, as far as nobody has them, until the transaction ends. It waits for
    /// none, so that their order doesn't matter.
    ///
    /// - Returns: those whose lock it has.
    func tryLocks(ofKeys keys: [String]) throws -> [String] {
        try connection.run(
            """
            SELECT key FROM unnest(\(keys)::text[]) AS key WHERE pg_try_advisory_xact_lock(shacache.key_lock(key))
            """
        ).map { $0.text(0)! }
    }

    func tryLocks(ofBlobs blobs: [Digest]) throws -> [Digest] {
        try connection.run(
            "SELECT sha512 FROM unnest(\(blobs)) AS sha512 WHERE pg_try_advisory_xact_lock(shacache.blob_lock(sha512))"
        ).digests
    }
}
