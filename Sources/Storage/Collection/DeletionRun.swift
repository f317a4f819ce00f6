import Postgres
public import ShaCache
import System

/// What all that deletes has: the lock that lets nothing else delete, and pages of a transaction each, at a rate.
final class DeletionRun {
    private let session: Session
    /// Of a session that ended, the lock is another's.
    private let sessions: Int
    private var pace: Pace
    /// What went wrong and was no reason to stop.
    private(set) var problem: String?

    /// - Parameter rate: entries and blobs a second.
    /// - Throws: `CollectionError.isLocked` when a collection runs, or a backup.
    init(in session: Session, rate: Int) throws {
        self.session = session
        pace = Pace(perSecond: rate)
        guard try session.tryLock(.deletion) else {
            throw CollectionError.isLocked(try CollectionRecord.holder(session))
        }
        sessions = session.statistics.sessions
    }

    /// The server notices the end of a session later than the next run may begin.
    deinit { if session.statistics.sessions == sessions { try? session.unlock(.deletion) } }

    /// Each page is few rows of large tables, whose sizes change while they are gone through: by their indexes, and in the
    /// order that these have, it costs the same at the beginning and at the end.
    func byIndexes(_ body: () throws -> Void) throws {
        // With these off PostgreSQL thinks that all is dear, which is when it compiles.
        let settings = ["jit"] + ["seqscan", "bitmapscan", "sort", "hashjoin", "mergejoin"].map { "enable_\($0)" }
        try session.connection.runScript(settings.map { "SET \($0) = off" }.joined(separator: "; "))
        // One that ended has none any more.
        defer { try? session.connection.runScript(settings.map { "RESET \($0)" }.joined(separator: "; ")) }
        try body()
    }

    /// - Parameter body: does one page behind a position, in transactions of which each may be rolled back by itself.
    /// - Returns: how many entries or blobs changed.
    @discardableResult
    func forEachPage<Position>(
        _ start: Position, _ body: @escaping (Position) throws -> CollectionPage<Position>
    ) throws -> Int {
        let isRolledBack = { (error: any Error) in error.isRolledBack }
        var (position, changed): (Position?, Int) = (start, 0)
        while let current = position {
            try requireSession()
            let page = try ChangedMeanwhile.decidingAnew(when: isRolledBack, forget: requireSession) {
                try body(current)
            }
            changed += page.count
            if let problem = page.problem { throw problem }
            pace.spend(page.count)
            position = page.last
        }
        return changed
    }

    /// One that ended unnoticed is replaced here, and not by the page.
    private func requireSession() throws {
        _ = try session.reading { try session.connection.run("SELECT 1") }
        guard session.statistics.sessions == sessions else { throw CollectionError.lostSession }
    }

    /// A disk that is full, or fails, ends a step, and no other: what frees bytes goes on. What was committed and is not in
    /// the journal, a rebuilt database has again.
    func tolerating(_ body: () throws -> Void) throws {
        do { try body() } catch  where error is StoreError || error is NotJournaled {
            problem = problem ?? "\(error)"
        }
    }
}

/// One page of a step.
struct CollectionPage<Position> {
    /// Where the next one begins; nil: this was the last.
    let last: Position?
    /// How many entries or blobs changed.
    let count: Int
    /// What ends the step, though the page is committed.
    var problem: StoreError?

    /// So many are handled in one transaction, and locked at once: they share one fsync of each directory, and uploads of
    /// the same wait no longer than that takes.
    static var size: Int { 1024 }
}

/// Before which time something must have come last, so that it goes: uploads that came with the plan or behind it count.
struct Cutoff {
    /// When the plan was begun, as PostgreSQL writes it.
    let planned: String
    /// In seconds.
    let untouched: Int

    var sql: SQL { "(\(planned)::timestamptz - make_interval(secs => \(untouched)))" }
}

extension Cutoff {
    /// For a plan that is to begin.
    init(untouched: Int, asking session: Session) throws {
        let now = try session.connection.run("SELECT clock_timestamp()::text").first!.text(0)!
        self.init(planned: now, untouched: untouched)
    }
}

/// Why a collection was not begun, or ended early.
public enum CollectionError: Error, CustomStringConvertible {
    case isLocked(_ holder: String)
    case lostSession
    /// It went to its end, but for something.
    case incomplete(_ problem: String)
    case notInTrash(Digest)
    case isThere(Digest)
    case isDamaged(Digest, _ damage: String)
    /// Nothing of that is hidden by retention.
    case nothingHidden(_ what: String)

    public var description: String {
        switch self {
        case .isLocked(let holder): "\(holder): nothing else may remove blobs until it ends"
        case .lostSession: "the session with the database ended: the next collection goes on from there"
        case .incomplete(let problem): "not all was done: \(problem)"
        case .notInTrash(let digest): "no blob \(digest) is in trash: its bytes are gone, or it was never removed"
        case .isDamaged(let digest, let damage): "the blob \(digest) stays in trash, for it \(damage): upload it again"
        case .isThere(let digest): "the blob \(digest) is there: it was uploaded again"
        case .nothingHidden(let what): "no retention policy hides \(what)"
        }
    }
}
