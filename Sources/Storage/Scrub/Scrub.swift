import Postgres
public import ShaCache
import System

/// Reads all bytes of a store again, past the page cache: the shelf first that wasn't read for longest, and a round that
/// was left goes on where it was. What is damaged is taken out of readers' sight at once. Of one thread.
public final class Scrub {
    private let blobs: BlobRepository
    private let host: String
    private let actor: String
    private let shelves: ScrubShelves
    private let report: (Event) -> Void
    private let ahead = ReadAhead()
    private var pace: Pace
    /// Of the session: another one than this holds none of the locks.
    private var sessions = 0
    public private(set) var sums = Sums()

    public enum Event {
        case damaged(Digest, String)
        case healed(Digest)
        case notHealed(Digest, any Error)
    }

    public struct Sums {
        /// Read to their ends.
        public fileprivate(set) var shelves = 0
        public fileprivate(set) var files = 0
        public fileprivate(set) var bytes = 0
        public fileprivate(set) var damaged = 0
        public fileprivate(set) var healed = 0
        /// Whether nothing was due any more at the end.
        public fileprivate(set) var isComplete = false
    }

    /// - Parameters:
    ///   - host: of several that share the store.
    ///   - actor: whom the audit names.
    ///   - rate: in bytes a second; nil: as much as it takes to read all within the time, twice over, and 32 MiB at
    ///     least.
    ///   - days: the time within which each blob is to be read.
    ///   - report: called with what comes up meanwhile.
    /// - Throws: `ScrubError.runsAlready` when the host has another one.
    public init(
        of blobs: BlobRepository, on host: String, by actor: String, rate: Int?, within days: Int,
        report: @escaping (Event) -> Void
    ) throws {
        self.blobs = blobs
        self.host = host
        self.actor = actor
        self.report = report
        shelves = ScrubShelves(session: blobs.session)
        guard try blobs.session.tryLock(.scrub(host: host)) else { throw ScrubError.runsAlready(host) }
        sessions = blobs.session.statistics.sessions
        let enough = try max(32 << 20, shelves.bytesOfStore() / (days * Self.day) * 2)
        pace = Pace(perSecond: rate ?? enough)
        // Where nothing is mounted, there would be nothing to find.
        _ = try blobs.files.openDirectory("\(blobs.files.directory)/blobs", "the store")
        try blobs.reconcileQuarantine(host: host, by: actor)
    }

    private static let day = 86_400

    /// Reads what no whole round has read for longer than `days`, less one: a run each day then keeps to the time.
    ///
    /// - Parameter deadline: nil: until nothing is due any more. One file is read to its end.
    public func readDue(within days: Int, until deadline: ContinuousClock.Instant?) throws {
        let since = try shelves.time((days - 1) * Self.day)
        for shelf in try shelves.due(since: since) {
            guard !isOver(deadline) else { return }
            guard let claimed = try shelves.claim(shelf, dueSince: since, on: host) else { continue }
            guard try read(claimed, until: deadline) else { return }
            try shelves.release(shelf)
        }
        sums.isComplete = true
    }

    private func isOver(_ deadline: ContinuousClock.Instant?) -> Bool { deadline.map { .now >= $0 } ?? false }

    /// Files that are listed at once: a shelf may have very many.
    private static let page = 10_000

    /// How often it is noted how far a shelf was read: so much is read again after a crash.
    private static let noteInterval = Duration.seconds(10)

    /// - Returns: false when time was over before its end.
    private func read(_ claimed: ClaimedShelf, until deadline: ContinuousClock.Instant?) throws -> Bool {
        var shelf = claimed
        var noted = ContinuousClock.now
        do {
            try forEachFile(on: shelf.shelf, after: shelf.position) { file in
                guard !isOver(deadline) else { throw TimeIsOver() }
                try judge(file, on: shelf.shelf)
                shelf.add(file)
                if noted.duration(to: .now) > Self.noteInterval {
                    try note(&shelf)
                    noted = .now
                }
            }
        } catch is TimeIsOver {
            try note(&shelf)
            return false
        }
        try shelves.finish(shelf)
        try requireSession()
        sums.shelves += 1
        return true
    }

    private struct TimeIsOver: Error {}

    private func forEachFile(
        on shelf: LocalBlobs.Shelf, after position: Digest? = nil, writtenSince start: Int? = nil,
        _ body: (ReadAhead.File) throws -> Void
    ) throws {
        let files = blobs.files
        var last = position
        while case let page = try files.blobs(on: shelf, after: last, writtenSince: start, limit: Self.page),
            !page.isEmpty
        {
            try ahead.hash(page.map { ($0, files.path($0, on: shelf)) }, pace: { pace.spend($0) }, body)
            last = page.last
        }
    }

    private func judge(_ file: ReadAhead.File, on shelf: LocalBlobs.Shelf) throws {
        if case .damaged = file.presence,
            let problem = try blobs.quarantine(file.digest, on: shelf, host: host, by: actor)
        {
            sums.damaged += 1
            report(.damaged(file.digest, problem))
        }
        guard file.presence != .absent else { return }
        sums.files += 1
        sums.bytes += file.bytes
    }

    /// Reads what was written in the last seconds before the newest that is there: after a power cut, a file system may
    /// have zeros in place of what a disk only said it had written. What was read is not noted.
    public func readYoung(seconds: Int) throws {
        let written = try LocalBlobs.Shelf.ofBlobs.map { ($0, try blobs.files.modified($0) ?? 0) }
        let start = written.map(\.1).max()! - seconds
        for (shelf, modified) in written where modified >= start {
            try forEachFile(on: shelf, writtenSince: start) { try judge($0, on: shelf) }
        }
        sums.isComplete = true
    }

    private func note(_ shelf: inout ClaimedShelf) throws {
        try shelves.record(shelf)
        try requireSession()
        (shelf.files, shelf.bytes) = (0, 0)
    }

    /// A session that ended has lost its locks: another host may have the shelf by now, or another scrub the host.
    private func requireSession() throws {
        guard blobs.session.statistics.sessions == sessions else { throw ScrubError.lostSession }
    }

    /// Brings back the right bytes of all that is damaged, as far as they can be had.
    ///
    /// - Parameters:
    ///   - origin: for the record.
    ///   - includingLost: also of what was lost: then each blob is looked for.
    ///   - fetch: throws when it hasn't got them.
    public func heal(
        from origin: String, includingLost: Bool,
        fetch: (Digest, _ write: @escaping (UnsafeRawBufferPointer) throws -> Void) throws -> Void
    ) throws {
        func heal(_ digest: Digest) throws {
            do {
                try blobs.heal(digest, from: origin, by: actor) { try fetch(digest, $0) }
                sums.healed += 1
                report(.healed(digest))
            } catch let error where !(error is DatabaseError) {
                report(.notHealed(digest, error))
            }
        }
        let findings = ScrubFindings(blobs.session)
        try findings.forEachOpen { try heal($0) }
        guard includingLost else { return }
        // Those that could not be healed have been reported.
        try blobs.forEachLostBlob { if try !findings.isOpen($0) { try heal($0) } }
    }
}

/// Why a scrub ended early.
public enum ScrubError: Error, CustomStringConvertible {
    case runsAlready(_ host: String)
    case lostSession

    public var description: String {
        switch self {
        case .runsAlready(let host): "a scrub runs on \(host) already"
        case .lostSession: "the session with the database ended: the next scrub goes on from there"
        }
    }
}
