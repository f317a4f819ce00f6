import ShaCache
import Storage
import System

/// One blob on its way here: what the thread that fetches it has done, and how many clients wait for that.
final class Fetch: Sendable {
    let digest: Digest
    let begin = ContinuousClock.now
    private let progress = Monitor(Progress())

    /// What isn't sent before the hash is right, so that no client ever has the whole of a wrong blob. More than nginx may
    /// have read, and a client of HTTP/2 not got, when an answer is cut.
    static let heldBack = 64 << 10

    /// So many clients are fed at least, even if they don't keep up: more than there are processors.
    private static let busyClients = 2 * processorCount
    /// Of what hasn't moved for so long, nothing is expected.
    private static let stall = Duration.seconds(1)

    enum Phase {
        case asking, receiving
        /// Its hash is right.
        case verified
        /// It is a blob like any other.
        case stored
        case failed(End)
    }

    /// Why there is none.
    enum End {
        /// No upstream has it, or it is withdrawn here.
        case absent
        /// No upstream gave it; why the last one did not, if one was asked.
        case failed(UpstreamFailure?)
        /// The database, which knows what is withdrawn, is away.
        case unknown
        /// Its clients have left.
        case abandoned
        /// The store has no room for it.
        case noRoom
    }

    struct Progress {
        fileprivate(set) var phase = Phase.asking
        /// As the upstream announces it, in bytes.
        fileprivate(set) var size: Int?
        /// How many bytes lie in the file.
        fileprivate(set) var received = 0
        fileprivate(set) var file: FetchedFile?
        fileprivate var clients = 1
        /// Nothing more comes of it.
        fileprivate(set) var isOver = false
        /// Whether some of it was sent to a client.
        fileprivate var isFed = false
        /// How many clients are being sent bytes that lie there, and don't wait for more of them.
        fileprivate var busyClients = 0
        /// When its bytes began to come, and how many were there before.
        fileprivate var begin: (time: ContinuousClock.Instant, received: Int)?
        fileprivate var lastArrival = ContinuousClock.now

        var isVerified: Bool {
            switch phase {
            case .verified, .stored: true
            case .asking, .receiving, .failed: false
            }
        }

        /// Whether one more client is fed out of the file that grows. Otherwise it waits, since that nginx sends it a
        /// whole file costs a third of that. As long as those that are fed keep up with the upstream, nothing is gained
        /// by waiting.
        ///
        /// - Parameter deadline: when it has waited long enough.
        func mayFeed(until deadline: ContinuousClock.Instant, at now: ContinuousClock.Instant) -> Bool {
            guard busyClients >= Fetch.busyClients, now < deadline else { return true }
            guard !isVerified, received != size else { return false }
            return expectedEnd(at: now).map { $0 > deadline } ?? true
        }

        /// When all of it has come, if it comes on as it did; nil: that can't be told.
        private func expectedEnd(at now: ContinuousClock.Instant) -> ContinuousClock.Instant? {
            guard let begin, let size, received > begin.received, lastArrival.duration(to: now) < Fetch.stall else {
                return nil
            }
            let share = Double(size - begin.received) / Double(received - begin.received)
            return begin.time + begin.time.duration(to: now) * share
        }

        /// How many bytes may be sent by now.
        var sendable: Int { isVerified ? received : min(received, max(0, (size ?? 0) - Fetch.heldBack)) }
    }

    init(_ digest: Digest) { self.digest = digest }

    // MARK: The clients

    /// - Returns: false when it has ended without a blob.
    func enter() -> Bool {
        progress.changeQuietly { progress in
            if case .failed = progress.phase { return false }
            progress.clients += 1
            return true
        }
    }

    func leave() { progress.changeQuietly { $0.clients -= 1 } }

    /// Waits until `body` finds what it looks for, at most so long.
    func wait<Result>(atMost limit: Duration, for body: (Progress) -> Result?) -> Result? {
        progress.wait(atMost: limit) { body($0) }
    }

    /// Binds this fetch to the upstream that it has: from now on, a client has some of its bytes.
    ///
    /// - Parameter deadline: when that one has waited long enough.
    /// - Returns: nil when it isn't coming any more, or the client is to wait; otherwise `endFeeding` follows.
    func beginFeeding(
        until deadline: ContinuousClock.Instant, at now: ContinuousClock.Instant = .now
    ) -> (file: FetchedFile, size: Int)? {
        progress.changeQuietly { progress in
            guard let file = progress.file, let size = progress.isVerified ? progress.received : progress.size,
                progress.mayFeed(until: deadline, at: now)
            else { return nil }
            progress.isFed = true
            progress.busyClients += 1
            return (file, size)
        }
    }

    func endFeeding() { progress.changeQuietly { $0.busyClients -= 1 } }

    /// The same as `wait`, for a client that is fed: while it waits, it isn't busy.
    func waitFed<Result>(atMost limit: Duration, for body: (Progress) -> Result?) -> Result? {
        var isWaiting = false
        let result = progress.wait(atMost: limit) { progress in
            let result = body(progress)
            progress.busyClients += (isWaiting ? 1 : 0) - (result == nil ? 1 : 0)
            isWaiting = result == nil
            return result
        }
        if isWaiting { progress.changeQuietly { $0.busyClients += 1 } }
        return result
    }

    /// Whether no upstream has answered yet.
    var isAsking: Bool { progress.changeQuietly { if case .asking = $0.phase { true } else { false } } }

    var knownSize: Int? { progress.changeQuietly { $0.isVerified ? $0.received : $0.size } }

    // MARK: The thread that fetches

    /// - Parameter size: nil when the upstream doesn't say it.
    func beginReceiving(
        _ file: FetchedFile, size: Int?, received: Int, at now: ContinuousClock.Instant = .now
    ) {
        change { progress in
            (progress.phase, progress.file, progress.size, progress.received) = (.receiving, file, size, received)
            progress.begin = progress.begin ?? (now, received)
        }
    }

    func noteReceived(_ count: Int, at now: ContinuousClock.Instant = .now) {
        change { ($0.received, $0.lastArrival) = (count, now) }
    }

    /// Wakes whoever waits, unless all of the blob is held back: then they wait for its hash.
    private func change(_ body: (inout Progress) -> Void) {
        let isHeldBack = progress.changeQuietly { progress in
            body(&progress)
            return progress.size ?? 0 <= Self.heldBack
        }
        if !isHeldBack { progress.change { _ in } }
    }

    func noteVerified(_ count: Int) { progress.change { ($0.phase, $0.received) = (.verified, count) } }

    func noteStored() { progress.change { $0.phase = .stored } }

    /// - Parameter end: nil when it was verified.
    func end(_ end: End?) {
        progress.change { progress in
            if let end { progress.phase = .failed(end) }
            progress.isOver = true
        }
    }

    /// Ends it when no client waits any more and most of it is yet to come: what a client asks for and doesn't read, the
    /// deployed clients' way to look whether a blob is there, costs no gigabytes. What is small, or more than half here, is
    /// finished: whoever asked comes again.
    ///
    /// - Returns: whether it was ended.
    func endIfAbandoned() -> Bool {
        progress.changeQuietly { progress in
            // Of unknown size, it may be without end.
            let size = progress.size ?? .max
            guard progress.clients == 0, progress.received <= size / 2,
                size - progress.received > Self.finishedAnyway
            else { return false }
            progress.phase = .failed(.abandoned)
            return true
        }
    }

    private static let finishedAnyway = 16 << 20

    /// Begins anew with another upstream.
    ///
    /// - Returns: false when a client has bytes of this one.
    func restart() -> Bool {
        progress.changeQuietly { progress in
            guard !progress.isFed else { return false }
            (progress.phase, progress.file, progress.size, progress.received) = (.asking, nil, nil, 0)
            progress.begin = nil
            return true
        }
    }
}

/// The file that a blob comes into, open as long as somebody reads or writes it.
final class FetchedFile: Sendable {
    let body: SpooledBody

    init(_ body: consuming SpooledBody) { self.body = body }
}
