public import Configuration
public import Logging
public import Metrics
import Postgres
import ShaCache
public import Storage
import System

/// What the threads of the process share: the upstreams, the blobs that are on their way, and what is remembered of those that
/// no upstream gave.
public final class Fetcher: Sendable {
    let files: LocalBlobs
    let servers: [UpstreamServer]
    let log: Logger
    let recorder: Recorder
    /// By which other caches' requests are told that have come through this one.
    let name = "shacache-" + String(UInt64.random(in: 0 ... .max), radix: 16)
    let database: DatabasePool
    private let blobs: FetchedBlobs
    private let hashing: HashingPool
    private let underWay = Monitor(UnderWay())
    private let threads = ThreadReserve(limit: idleThreads)
    /// What no upstream has.
    private let absent = ExpiringSet<Digest>(limit: 1 << 15)
    private let resting = ExpiringSet<Resting>(limit: 1 << 14)

    private struct UnderWay {
        var fetches: [Digest: Fetch] = [:]
        /// How many of these are verified, and on their way to the disk.
        var storing = 0

        var hasRoom: Bool { fetches.count < Fetcher.limit && storing < Fetcher.storingLimit }
    }

    /// An upstream that failed to give a blob.
    private struct Resting: Hashable {
        let server: String
        let digest: Digest
    }

    /// Blobs that are fetched at once. Each has a thread, a connection and some buffers.
    private static let limit = 256
    /// Of these, blobs that clients have and the disk has not. More than are stored together (`UploadGroups`).
    private static let storingLimit = 64
    private static let idleThreads = 32
    /// How long one more waits until there are fewer.
    private static let turn = Duration.seconds(10)
    private static let absence = Duration.seconds(30)

    /// - Throws: `SystemError` when the system has no more threads.
    public init(_ configuration: Configuration, store: LocalBlobs, log: Logger, recorder: Recorder) throws {
        files = store
        self.log = log
        self.recorder = recorder
        servers = UpstreamServer.all(of: configuration.upstreams)
        let database = DatabasePool(configuration.workerDatabase)
        self.database = database
        blobs = FetchedBlobs(in: store) { try database.withSession($0) }
        hashing = try HashingPool()
    }

    /// The way of a blob here, which one more client waits for.
    ///
    /// - Parameter loop: by which the client's request came.
    /// - Returns: nil when it isn't to be asked for now.
    /// - Throws: `TooManyFetches`, or `SystemError` when the system has no more threads.
    func join(_ digest: Digest, loop: CacheLoop) throws -> Fetch? {
        guard !absent.contains(digest), !servers(for: digest).isEmpty else { return nil }
        let entry: (fetch: Fetch, isNew: Bool)? = underWay.wait(atMost: Self.turn) { underWay in
            if let fetch = underWay.fetches[digest], fetch.enter() { return (fetch, false) }
            guard underWay.hasRoom else { return nil }
            let fetch = Fetch(digest)
            underWay.fetches[digest] = fetch
            return (fetch, true)
        }
        guard let (fetch, isNew) = entry else { throw TooManyFetches() }
        guard isNew else {
            // It may have been woken for a place that it doesn't need.
            underWay.changeWakingOne { _ in }
            var waits = false
            defer { if !waits { fetch.leave() } }
            waits = try mayWait(for: fetch, loop)
            return waits ? fetch : nil
        }
        do {
            try threads.start { [self] in run(fetch, loop: loop) }
        } catch {
            forget(fetch)
            fetch.end(.failed(nil))
            throw error
        }
        return fetch
    }

    /// Whether a request may wait until an upstream has answered. Where caches name each other, what this one has asked another
    /// one may wait there for the very request that it passes on to this one.
    private func mayWait(for fetch: Fetch, _ loop: CacheLoop) throws -> Bool {
        guard loop.isPassedOn, fetch.isAsking else { return true }
        guard !loop.goesOn else { return false }
        // This waits for nobody, and ends where it has been.
        if case .absent = try find(fetch.digest, loop: loop) { return false }
        return true
    }

    private func forget(_ fetch: Fetch) {
        underWay.changeWakingOne { underWay in
            if underWay.fetches[fetch.digest] === fetch { underWay.fetches[fetch.digest] = nil }
        }
    }

    private func rest(_ server: UpstreamServer, _ digest: Digest, after failure: UpstreamFailure?) {
        guard let rest = failure?.rest, rest > .zero else { return }
        resting.insert(Resting(server: server.name, digest: digest), for: rest)
    }

    /// Those that may be asked for it now. Whether a breaker lets a request through is decided when it is sent.
    private func servers(for digest: Digest) -> [UpstreamServer] {
        servers.filter { !resting.contains(Resting(server: $0.name, digest: digest)) }
    }

    /// Asks the upstreams for a blob without fetching it, unless it is on its way already.
    func find(_ digest: Digest, loop: CacheLoop) throws -> Verdict<UpstreamServer.Found> {
        if let size = underWay.changeQuietly({ $0.fetches[digest] })?.knownSize { return .found(.init(size: size)) }
        guard !absent.contains(digest), try mayFetch(digest) else { return .absent }
        let verdict = try ask(servers(for: digest), for: .blob(digest), loop: loop) { server, loop in
            try server.find(digest, loop: loop)
        } orElse: { server, failure in
            // What it answers to a HEAD says nothing of a GET.
            if failure?.reason != .status { rest(server, digest, after: failure) }
            return true
        }
        if case .absent = verdict { noteAbsence(of: digest, loop) }
        return verdict
    }

    /// Of what another cache asks for, an upstream may have said so only because that one is its own upstream.
    private func noteAbsence(of digest: Digest, _ loop: CacheLoop) {
        if !loop.isPassedOn { absent.insert(digest, for: Self.absence) }
    }

    private func mayFetch(_ digest: Digest) throws -> Bool {
        try database.withSession { try BlobRepository(files, $0).mayFetch(digest) }
    }

    /// Whether all upstreams said so a short time ago.
    func isKnownAbsent(_ digest: Digest) -> Bool { absent.contains(digest) }

    // MARK: The thread that fetches

    private func run(_ fetch: Fetch, loop: CacheLoop) {
        recorder.add(to: .fetchesInFlight)
        defer { recorder.add(-1, to: .fetchesInFlight) }
        let end: Fetch.End?
        do {
            end = try fetchFromAny(fetch, loop: loop)
        } catch is Abandoned {
            log.info("fetch ended, nobody waits for it", metadata: ["sha512": "\(fetch.digest)"])
            end = .abandoned
        } catch let error as StoreError where error.condition != .broken {
            end = .noRoom
        } catch {
            log.error("fetch failed", metadata: ["sha512": "\(fetch.digest)", "cause": "\(error)"])
            end = error.isTransient ? .unknown : .failed(nil)
        }
        // Whoever comes from here on finds the blob, or begins anew.
        forget(fetch)
        fetch.end(end)
        if let end { recorder.add(to: .fetches, end.result.rawValue) }
    }

    /// - Returns: nil when it is verified.
    private func fetchFromAny(_ fetch: Fetch, loop: CacheLoop) throws -> Fetch.End? {
        let digest = fetch.digest
        guard try mayFetch(digest) else { return .absent }
        // Not to ask for what can't be kept.
        try files.admit(bytes: 1)
        let verdict: Verdict<Void> = try ask(servers(for: digest), for: .blob(digest), loop: loop) {
            server, loop in
            try FetchAttempt(fetch, from: server, in: files, loop: loop, hashing, recorder).fetch(store) ? () : nil
        } orElse: { server, failure in
            rest(server, digest, after: failure)
            return failure == nil || fetch.restart()
        }
        switch verdict {
        case .found: return nil
        case .failed(let failure): return .failed(failure as? UpstreamFailure)
        case .absent:
            noteAbsence(of: digest, loop)
            return .absent
        }
    }

    /// Makes what was verified a blob. What can't be stored was fetched all the same: those who wait for it get it.
    private func store(_ file: FetchedFile, size: Int, of fetch: Fetch, from server: UpstreamServer) {
        var metadata: Logger.Metadata = [
            "sha512": "\(fetch.digest)", "upstream": "\(server.name)", "bytes": .stringConvertible(size),
            "milliseconds": .stringConvertible(Int(fetch.begin.duration(to: .now) / .milliseconds(1))),
        ]
        server.ledger.count { $0.blobs += 1 }
        underWay.changeQuietly { $0.storing += 1 }
        defer { underWay.changeWakingOne { $0.storing -= 1 } }
        do {
            let isStored = try blobs.store(file.body, as: fetch.digest, size: size, from: server.name)
            SpooledBody.discard(of: fetch.digest, from: servers.map(\.name), in: files)
            if isStored { fetch.noteStored() }
            recorder.add(to: .fetches, (isStored ? FetchResult.stored : .notStored).rawValue)
            log.info(isStored ? "fetched" : "fetched, and withdrawn meanwhile", metadata: metadata)
        } catch {
            metadata["cause"] = "\(error)"
            recorder.add(to: .fetches, FetchResult.notStored.rawValue)
            log.error("fetched, and not stored", metadata: metadata)
        }
    }

    /// Lets one client have a blob that the store has no room for.
    ///
    /// - Throws: `SystemError` when the system has no more threads.
    func pass(_ digest: Digest, through passage: Passage, loop: CacheLoop) throws {
        log.warning("no room to store what is fetched", metadata: ["sha512": "\(digest)"])
        try Thread { [self] in
            let verdict: Verdict<Void>? = try? ask(
                servers(for: digest), for: .blob(digest), loop: loop
            ) { server, loop in
                try passage.receive(digest, from: server, loop: loop) ? () : nil
            } orElse: { server, failure in
                rest(server, digest, after: failure)
                // Another one's bytes would not follow on those that were sent.
                return passage.isEmpty
            }
            passage.end(isRight: verdict?.isFound == true)
        }.detach()
    }
}

/// As many blobs are on their way as may be.
struct TooManyFetches: Error {}

extension Fetch.End {
    fileprivate var result: FetchResult {
        switch self {
        case .absent: .absent
        case .failed: .failed
        case .unknown: .unknown
        case .abandoned: .abandoned
        case .noRoom: .notStored
        }
    }
}
