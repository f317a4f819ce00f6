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
    private let pages: DeletionRun
    private let record: CollectionRecord

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
        pages = try DeletionRun(in: blobs.session, rate: rate)
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
            try pages.byIndexes {
                try pages.tolerating { try blobs.reconcileTrash(olderThan: times.trash) }
                try pages.forEachPage("") { try self.blobs.returnNamed(after: $0, by: self.actor) }
                try free(olderThan: trash)
                try deleteHidden(policies)
            }
            let cutoff = try Cutoff(untouched: times.untouched, asking: session)
            try plan(session)
            try pages.byIndexes {
                try hide(cutoff)
                try remove(cutoff)
                if isEmptyingTrash { try free(olderThan: 0) }
            }
        } catch {
            try? record.finish(problem: "\(error)")
            throw error
        }
        try record.finish(problem: pages.problem)
        if let problem = pages.problem { throw CollectionError.incomplete(problem) }
        return try record.table()
    }

    // MARK: Steps

    private func hide(_ cutoff: Cutoff) throws {
        let entries = Entries(session, in: blobs.files)
        try pages.tolerating {
            try pages.forEachPage(0) { try entries.hideGoing(after: $0, cutoff, for: self.record, by: self.actor) }
        }
    }

    private func deleteHidden(_ policies: [String]) throws {
        let entries = Entries(session, in: blobs.files)
        for withdrawal in try entries.retentionWithdrawals(of: policies, olderThan: times.grace) {
            try pages.tolerating {
                try pages.forEachPage(0) {
                    try entries.deleteHidden(by: withdrawal, after: $0, for: self.record, by: self.actor)
                }
            }
        }
    }

    private func remove(_ cutoff: Cutoff) throws {
        try pages.forEachPage("") { try self.blobs.mark(after: $0, cutoff, for: self.record) }
        try pages.forEachPage("") {
            try self.blobs.removeMarked(
                after: $0, delay: self.times.delay, cutoff, for: self.record, by: self.actor)
        }
        // Also what a run that was killed has left.
        try moveRemoved()
    }

    private func moveRemoved() throws {
        try pages.tolerating { try pages.forEachPage("") { try self.blobs.moveRemoved(after: $0, for: self.record) } }
    }

    private func free(olderThan seconds: Int) throws {
        try pages.tolerating {
            try pages.forEachPage(TrashPosition()) {
                try self.blobs.free(after: $0, olderThan: seconds, for: self.record)
            }
        }
    }
}
