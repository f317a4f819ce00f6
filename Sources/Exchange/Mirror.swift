public import Fetching
import ShaCache
public import Storage
import System

/// Fetches ahead what another cache has: lets the fetcher of this host ask for keys and blobs, many at once, and notes what it
/// could not get. Interrupted anywhere, the next one goes on.
public final class Mirror: Sendable {
    public struct Settings: Sendable {
        let upstream: String
        let source: MirrorSource
        let fetcher: FetchClient
        let threads: Int
        let session: @Sendable () -> Session

        /// - Parameters:
        ///   - upstream: its name.
        ///   - threads: how many items at once.
        ///   - session: opens one with the rights of shacache_admin.
        public init(
            upstream: String, source: MirrorSource, fetcher: FetchClient, threads: Int,
            session: @escaping @Sendable () -> Session
        ) {
            (self.upstream, self.source, self.fetcher) = (upstream, source, fetcher)
            (self.threads, self.session) = (threads, session)
        }
    }

    /// Callbacks, called from several threads.
    public struct Reporter: Sendable {
        /// Something is not here, for the first time.
        public let failed: @Sendable (MirrorItem, MirrorFailure) -> Void
        /// What the operator should know of the run itself.
        public let note: @Sendable (String) -> Void
        /// How far it has come, by the feed's times, in seconds since 1970; nil: by no feed.
        public let progress: @Sendable (_ time: Int?, MirrorSums) -> Void

        public init(
            failed: @escaping @Sendable (MirrorItem, MirrorFailure) -> Void, note: @escaping @Sendable (String) -> Void,
            progress: @escaping @Sendable (_ time: Int?, MirrorSums) -> Void
        ) {
            (self.failed, self.note, self.progress) = (failed, note, progress)
        }
    }

    let settings: Settings
    let reporter: Reporter
    let backlog = Monitor(MirrorBacklog())

    /// Read ahead of what is done.
    static let room = 2000
    /// How long one that doesn't follow waits for what can't be done at the moment.
    static let patience = Duration.seconds(60)
    private static let pause = Duration.seconds(1)

    public init(_ settings: Settings, _ reporter: Reporter) {
        (self.settings, self.reporter) = (settings, reporter)
    }

    /// Returns when all of the source is done, or failed: of a feed that is followed, never.
    ///
    /// - Throws: `MirrorStopped` when it ended before.
    public func run() throws -> MirrorSums {
        let crew = try (0..<settings.threads).map { _ in try Background { self.work() } }
        let result = Result { try lead() }
        backlog.change { $0.close() }
        for member in crew { try member.value() }
        let sums = backlog.changeQuietly { $0.sums }
        do {
            try result.get()
        } catch {
            throw MirrorStopped(sums: sums, cause: error)
        }
        return sums
    }

    // MARK: The thread that reads

    private func lead() throws {
        let record = MirrorRecord(settings.session())
        var reading = try MirrorReading(of: settings, backlog, record, reporter)
        while true {
            let hasMore: Bool
            do {
                hasMore = try backlog.changeQuietly({ $0.count }) < Self.room && reading.read()
            } catch let failure as FeedFailure {
                try note(failure, of: reading, in: record)
                throw failure
            }
            try note(reading, in: record)
            if hasMore { continue }
            if !reading.isFollowing, reading.isCurrent, backlog.changeQuietly({ $0.isIdle }) {
                return try note(reading, in: record)
            }
            if !reading.isFollowing { try checkTrouble() }
            _ = backlog.wait(atMost: Self.pause) { $0.isIdle && !reading.isFollowing ? () : nil }
        }
    }

    private func note(_ reading: MirrorReading, in record: MirrorRecord) throws {
        let (outcome, sums) = backlog.changeQuietly { backlog in
            (backlog.takeOutcome(ofFeed: reading.number != nil, isCurrent: reading.isCurrent), backlog.sums)
        }
        for item in try record.note(outcome, of: reading.number, from: settings.upstream) {
            reporter.failed(item, outcome.failed[item]!)
        }
        reporter.progress(outcome.position?.time, sums)
    }

    /// The feed could not be read behind there; that line is tried again until it can.
    private func note(_ failure: FeedFailure, of reading: MirrorReading, in record: MirrorRecord) throws {
        var outcome = MirrorRecord.Outcome()
        outcome.failed[MirrorItem(.line, "\(reading.position.number)")] = MirrorFailure("\(failure)")
        _ = try record.note(outcome, of: reading.number, from: settings.upstream)
    }

    private func checkTrouble() throws {
        guard let trouble = backlog.changeQuietly({ $0.trouble }), trouble.since.duration(to: .now) > Self.patience
        else {
            return
        }
        throw MirrorTrouble(description: trouble.reason)
    }

    // MARK: The threads that fetch

    /// Then a key that isn't there any more was withdrawn.
    private var hasFeed: Bool { if case .feed = settings.source { true } else { false } }

    private func work() {
        while let task = nextTask() {
            do {
                try perform(task)
            } catch {
                backlog.changeQuietly { $0.putBack(task, because: "\(error)") }
                _ = backlog.wait(atMost: Self.pause) { $0.isClosed ? () : nil }
            }
        }
    }

    /// Waits for one; nil when there are no more.
    private func nextTask() -> MirrorBacklog.Task? {
        backlog.wait { backlog -> MirrorBacklog.Task?? in
            if backlog.isClosed { return .some(nil) }
            return backlog.take().map { .some($0) }
        }
    }

    /// - Throws: what says nothing about the item.
    private func perform(_ task: MirrorBacklog.Task) throws {
        guard let request = AheadRequest(task.item) else { return try readAgain(task) }
        let answer = try settings.fetcher.ask(request)
        switch answer.outcome {
        case .unavailable: throw MirrorTrouble(description: answer.reason)
        case .failed where answer.away.contains(settings.upstream): throw MirrorTrouble(description: answer.reason)
        case .failed:
            backlog.change { backlog in
                backlog.count { $0.failed += 1 }
                backlog.fail(task, MirrorFailure(answer.reason))
            }
        case .absent where task.item.kind == .blob || (task.item.kind == .key && !hasFeed):
            backlog.change { backlog in
                backlog.count { $0.absent += 1 }
                backlog.fail(task, MirrorFailure("no upstream has it", isAbsent: true))
            }
        case .here, .fetched, .listed, .dropped, .absent:
            backlog.change { backlog in
                backlog.count { $0.add(answer, of: task.item) }
                backlog.finish(task, lacking: answer.lacking.map { MirrorItem(.blob, "\($0)") })
            }
        }
    }

    /// Of the feed, a line that could not be read.
    private func readAgain(_ task: MirrorBacklog.Task) throws {
        guard case .feed(let feed, _, _) = settings.source, let number = Int(task.item.name),
            let line = try feed.page(after: number, most: 1).lines.first
        else {
            return backlog.change { $0.finish(task) }
        }
        backlog.change { backlog in
            if case .unreadable(let reason) = line.event {
                backlog.count { $0.failed += 1 }
                backlog.fail(task, MirrorFailure(reason))
            } else {
                backlog.add(line.item)
                backlog.finish(task)
            }
        }
    }
}

/// A mirror ended before it was through. What it has fetched is here, and the next run goes on.
public struct MirrorStopped: Error {
    public let sums: MirrorSums
    public let cause: any Error
}

/// What keeps a mirror from going on, and is no item's fault.
struct MirrorTrouble: Error, CustomStringConvertible {
    let description: String
}

extension MirrorSums {
    fileprivate mutating func add(_ answer: AheadAnswer, of item: MirrorItem) {
        switch answer.outcome {
        case .listed: keys += 1
        case .here where item.kind == .blob: present += 1
        case .fetched:
            blobs += 1
            bytes += answer.bytes
        case .dropped: dropped += 1
        case .here, .absent, .failed, .unavailable: break
        }
    }
}

extension AheadRequest {
    /// nil of a line.
    fileprivate init?(_ item: MirrorItem) {
        switch item.kind {
        case .key:
            guard let key = try? Key(item.name) else { return nil }
            self = .key(key)
        case .blob, .hiddenBlob:
            guard let digest = Digest(item.name) else { return nil }
            self = item.kind == .blob ? .blob(digest) : .hiddenBlob(digest)
        case .line: return nil
        }
    }
}
