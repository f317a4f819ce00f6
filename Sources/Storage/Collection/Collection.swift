import Postgres
public import ShaCache
import System

/// One run of `shacache-admin collect apply`: hides the entries that policies let go, deletes those that were hidden for
/// long enough, removes blobs that no entry names any more, and frees their bytes. All of it online, a page at a time, each
/// in a transaction of its own: a run that was killed is gone on with by the next one.
///
/// What is to go, the plan says; what goes, each page decides again under its locks, by what has come meanwhile.
public final class Collection {
    /// How long what goes stays on each step of its way; in seconds.
    public struct Times: Sendable {
        /// From hiding an entry until it is deleted.
        public let grace: Int
        /// Nothing goes that was uploaded, or named by an upload, so short a time before the plan.
        public let untouched: Int
        /// From marking a blob until it is removed.
        public let delay: Int
        /// From removing a blob until its bytes are freed.
        public let trash: Int

        public init(grace: Int, untouched: Int, delay: Int, trash: Int) {
            (self.grace, self.untouched, self.delay, self.trash) = (grace, untouched, delay, trash)
        }
    }

    let blobs: BlobRepository
    let times: Times
    private let actor: String
    private let record: CollectionRecord
    /// Of a session that ended, the lock is another's.
    private let sessions: Int
    private var pace: Pace
    /// What went wrong and was no reason to stop.
    private var problem: String?

    private var session: Session { blobs.session }

    /// Takes the lock that lets nothing else delete.
    ///
    /// - Parameters:
    ///   - actor: whom the audit names.
    ///   - rate: entries and blobs a second.
    /// - Throws: `CollectionError.isLocked` when another collection runs, or a backup.
    public init(of blobs: BlobRepository, _ times: Times, rate: Int, on host: String, by actor: String) throws {
        self.blobs = blobs
        self.times = times
        self.actor = actor
        pace = Pace(perSecond: rate)
        guard try blobs.session.tryLock(.deletion) else {
            throw CollectionError.isLocked(try CollectionRecord.holder(blobs.session))
        }
        sessions = blobs.session.statistics.sessions
        // Where nothing is mounted, nothing is to be made in its place.
        try blobs.files.prepareTrash()
        record = try CollectionRecord(beginningIn: blobs.session, on: host, by: actor)
    }

    /// Goes through all steps.
    ///
    /// - Parameters:
    ///   - policies: the names of those that are configured: what others hid stays hidden.
    ///   - isEmptyingTrash: frees all that lies in trash, whenever it came there.
    ///   - plan: makes `going_entry` and `going_blob` in this session, indexed.
    /// - Throws: what ended it before its end. What is done stays done.
    /// - Returns: what was done by each policy.
    public func run(
        policies: [String], isEmptyingTrash: Bool = false, plan: (Session) throws -> Void
    ) throws -> Table {
        do {
            let trash = isEmptyingTrash ? 0 : times.trash
            try byIndexes {
                try tolerating { try blobs.reconcileTrash(olderThan: times.trash) }
                try forEachPage("") { try self.blobs.returnNamed(after: $0, by: self.actor) }
                try free(olderThan: trash)
                try deleteHidden(policies)
            }
            let planned = try session.connection.run("SELECT clock_timestamp()::text").first!.text(0)!
            try plan(session)
            let cutoff = Cutoff(planned: planned, untouched: times.untouched)
            try byIndexes {
                try hide(cutoff)
                try remove(cutoff)
                if isEmptyingTrash { try free(olderThan: 0) }
            }
        } catch {
            try? record.finish(problem: "\(error)")
            throw error
        }
        try record.finish(problem: problem)
        if let problem { throw CollectionError.incomplete(problem) }
        return try record.table()
    }

    // MARK: Steps

    /// Each page is few rows of large tables, whose sizes change while they are gone through: by their indexes, and in the
    /// order that these have, it costs the same at the beginning and at the end.
    private func byIndexes(_ body: () throws -> Void) throws {
        // With these off PostgreSQL thinks that all is dear, which is when it compiles.
        let settings = ["jit"] + ["seqscan", "bitmapscan", "sort", "hashjoin", "mergejoin"].map { "enable_\($0)" }
        try session.connection.runScript(settings.map { "SET \($0) = off" }.joined(separator: "; "))
        try body()
        try session.connection.runScript(settings.map { "RESET \($0)" }.joined(separator: "; "))
    }

    private func hide(_ cutoff: Cutoff) throws {
        let entries = Entries(session, in: blobs.files)
        try tolerating {
            try forEachPage(0) { try entries.hideGoing(after: $0, cutoff, for: self.record, by: self.actor) }
        }
    }

    private func deleteHidden(_ policies: [String]) throws {
        let entries = Entries(session, in: blobs.files)
        for withdrawal in try entries.retentionWithdrawals(of: policies, olderThan: times.grace) {
            try tolerating {
                try forEachPage(0) {
                    try entries.deleteHidden(by: withdrawal, after: $0, for: self.record, by: self.actor)
                }
            }
        }
    }

    private func remove(_ cutoff: Cutoff) throws {
        try forEachPage("") { try self.blobs.mark(after: $0, cutoff, for: self.record) }
        try forEachPage("") {
            try self.blobs.removeMarked(
                after: $0, delay: self.times.delay, cutoff, for: self.record, by: self.actor)
        }
        // Also what a run that was killed has left.
        try moveRemoved()
    }

    private func moveRemoved() throws {
        try tolerating { try forEachPage("") { try self.blobs.moveRemoved(after: $0, for: self.record) } }
    }

    private func free(olderThan seconds: Int) throws {
        try tolerating {
            try forEachPage(TrashPosition()) {
                try self.blobs.free(after: $0, olderThan: seconds, for: self.record)
            }
        }
    }

    /// - Parameter body: does one page behind a position, in transactions of which each may be rolled back by itself.
    private func forEachPage<Position>(
        _ start: Position, _ body: @escaping (Position) throws -> CollectionPage<Position>
    ) throws {
        let isRolledBack = { (error: any Error) in error.isRolledBack }
        var position: Position? = start
        while let current = position {
            try requireSession()
            let page = try ChangedMeanwhile.decidingAnew(when: isRolledBack, forget: requireSession) {
                try body(current)
            }
            if let problem = page.problem { throw problem }
            pace.spend(page.count)
            position = page.last
        }
    }

    /// One that ended unnoticed is replaced here, and not by the page.
    private func requireSession() throws {
        _ = try session.reading { try session.connection.run("SELECT 1") }
        guard session.statistics.sessions == sessions else { throw CollectionError.lostSession }
    }

    /// A disk that is full, or fails, ends a step, and no other: what frees bytes goes on. What was committed and is not in
    /// the journal, a rebuilt database has again.
    private func tolerating(_ body: () throws -> Void) throws {
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
