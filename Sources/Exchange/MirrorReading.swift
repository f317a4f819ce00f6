import Fetching
import Foundation
import ShaCache
import Storage
import System

/// Puts what a mirror's source has into its backlog, a piece at a time, and what failed before. Belongs to one thread.
struct MirrorReading {
    private let source: MirrorSource
    private let upstream: String
    private let backlog: Monitor<MirrorBacklog>
    private let record: MirrorRecord
    private let reporter: Mirror.Reporter

    /// The number of the record of how far it has come; nil: of no feed.
    let number: MirrorRecord.Number?
    /// Whether the source had no more when it was last asked.
    private(set) var isCurrent = false
    private(set) var position = MirrorRecord.Position()
    private var nextRead = ContinuousClock.now
    private var nextRetry = ContinuousClock.now
    private var hasRetried = false
    private var hasRead = false
    /// Since when the feed can't be read.
    private var failingSince: ContinuousClock.Instant?
    private var numberings = 0

    /// Of keys, at once.
    private static let piece = 500
    /// How often one that follows asks, when there was nothing new.
    private static let pollInterval = Duration.seconds(2)
    private static let retryInterval = Duration.seconds(5)
    /// Of items that failed: one that follows takes so many at once, another one so many in all.
    private static let retried = (following: 500, once: 100_000)

    init(
        of settings: Mirror.Settings, _ backlog: Monitor<MirrorBacklog>, _ record: MirrorRecord,
        _ reporter: Mirror.Reporter
    )
        throws
    {
        (source, upstream) = (settings.source, settings.upstream)
        (self.backlog, self.record, self.reporter) = (backlog, record, reporter)
        guard case .feed(_, let selection, let isFollowing) = source else {
            number = nil
            return
        }
        (number, position) = try record.begin(selection, isFollowing: isFollowing)
        let position = self.position
        backlog.changeQuietly { $0.noteRead(position) }
    }

    var isFollowing: Bool { if case .feed(_, _, isFollowing: true) = source { true } else { false } }

    /// - Returns: false when there is nothing more for now.
    mutating func read() throws -> Bool {
        try addFailed()
        switch source {
        case .keys(let next): return try isCurrent ? false : addKeys(next)
        case .feed(let feed, let selection, _):
            guard isFollowing ? .now >= nextRead : !isCurrent else { return false }
            return try addLines(of: feed, selection)
        }
    }

    private mutating func addFailed() throws {
        guard isFollowing ? .now >= nextRetry : !hasRetried else { return }
        (nextRetry, hasRetried) = (.now + Self.retryInterval, true)
        let failed = try record.failed(
            of: upstream, onlyDue: isFollowing, most: isFollowing ? Self.retried.following : Self.retried.once)
        guard !failed.isEmpty else { return }
        backlog.change { backlog in for item in failed { backlog.add(item) } }
    }

    private mutating func addKeys(_ next: () throws -> Result<Key, UnreadableKey>?) throws -> Bool {
        for _ in 0..<Self.piece {
            switch try next() {
            case .success(let key): backlog.change { $0.add(MirrorItem(.key, key.text)) }
            case .failure(let problem):
                backlog.changeQuietly { $0.count { $0.failed += 1 } }
                reporter.note("failed: \(problem)")
            case nil:
                isCurrent = true
                return false
            }
        }
        return true
    }

    // MARK: The feed

    private mutating func addLines(of feed: UpstreamFeed, _ selection: MirrorRecord.Selection) throws -> Bool {
        let page: UpstreamFeed.Page
        do {
            page = try pageAhead(of: feed, selection)
        } catch let failure as FeedFailure {
            try wait(after: failure)
            return false
        }
        if failingSince != nil { reporter.note("\(upstream): its feed can be read again") }
        (hasRead, failingSince) = (true, nil)
        guard page.numbering == position.numbering else {
            try beginAnew(page.numbering)
            return false
        }
        isCurrent = page.lines.isEmpty
        if isCurrent { nextRead = .now + Self.pollInterval }
        try add(page.lines, selection)
        return !isCurrent
    }

    private mutating func pageAhead(of feed: UpstreamFeed, _ selection: MirrorRecord.Selection) throws
        -> UpstreamFeed.Page
    {
        if position.numbering == nil {
            let start = try selection.since.map { try feed.start(from: $0) } ?? 0
            let page = try feed.page(after: start)
            (position.number, position.numbering) = (start, page.numbering)
            return page
        }
        return try feed.page(after: position.number)
    }

    /// The numbers mean something else from now on. What is here costs little the second time.
    private mutating func beginAnew(_ numbering: String) throws {
        // What is under way has numbers of the old one.
        guard backlog.changeQuietly({ $0.isIdle }) else { return }
        numberings += 1
        guard isFollowing || numberings <= 3 else {
            throw MirrorTrouble(description: "the feed of \(upstream) gets another numbering all the time")
        }
        if position.number > 0 { reporter.note("\(upstream): its feed has another numbering: begins anew") }
        position = MirrorRecord.Position()
        position.numbering = numbering
        let position = self.position
        backlog.changeQuietly { $0.noteRead(position) }
    }

    private mutating func wait(after failure: FeedFailure) throws {
        let since = failingSince ?? .now
        guard failure.isPassing, isFollowing || (hasRead && since.duration(to: .now) < Mirror.patience) else {
            throw failure
        }
        if failingSince == nil { reporter.note("\(failure): tries again until it can be read") }
        failingSince = since
        nextRead = .now + Self.retryInterval
    }

    private mutating func add(_ lines: [FeedLine], _ selection: MirrorRecord.Selection) throws {
        let since = selection.since.map { FeedLine.time(of: $0) } ?? ""
        let wanted = try lines.filter { line in
            switch line.event {
            case .key(let key): line.time >= since && key.text.utf8.starts(with: selection.keyPrefix.utf8)
            case .blobShown(let digest): try record.isNamed("\(digest)")
            case .blobHidden, .unreadable: true
            }
        }
        if let last = lines.last { (position.number, position.time) = (last.number, last.secondsSince1970) }
        let position = self.position
        backlog.change { backlog in
            for line in wanted { backlog.add(line.item, number: line.number) }
            backlog.noteRead(position)
        }
    }
}

extension FeedLine {
    /// nil when its time is none.
    fileprivate var secondsSince1970: Int? {
        (try? Date(time, strategy: .iso8601)).map { Int($0.timeIntervalSince1970) }
    }

    /// As the feed says it.
    ///
    /// - Parameter time: in seconds since 1970.
    static func time(of time: Int) -> String { Date(timeIntervalSince1970: TimeInterval(time)).formatted(.iso8601) }
}

extension UpstreamFeed {
    /// A number behind which all is that was accepted or withdrawn from a time on: found by halving, since each page would
    /// have to be read otherwise.
    ///
    /// - Parameter time: in seconds since 1970.
    fileprivate func start(from time: Int) throws(FeedFailure) -> Int {
        // A number is given when an upload has begun, and the time is that of its beginning.
        let limit = FeedLine.time(of: time - 3600)
        var (low, high) = (0, 1 << 10)
        while let line = try firstLine(after: high), line.time < limit { (low, high) = (line.number, line.number * 2) }
        while high - low > 1 << 10 {
            let middle = (low + high) / 2
            if let line = try firstLine(after: middle), line.time < limit { low = line.number } else { high = middle }
        }
        return low
    }

    private func firstLine(after number: Int) throws(FeedFailure) -> FeedLine? {
        try page(after: number, most: 1).lines.first
    }
}
