public import Configuration
public import Logging
public import Metrics
import Postgres
import ShaCache
public import Storage
import Synchronization
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
    private let fetches = Mutex<[Digest: Fetch]>([:])
    /// What no upstream has.
    private let absent = ExpiringSet<Digest>(limit: 1 << 15)
    private let resting = ExpiringSet<Resting>(limit: 1 << 14)

    /// An upstream that failed to give a blob.
    private struct Resting: Hashable {
        let server: String
        let digest: Digest
    }

    /// Blobs that are fetched at once. Each has a thread, a connection and some buffers.
    private static let limit = 256
    private static let absence = Duration.seconds(30)

    public init(_ configuration: Configuration, store: LocalBlobs, log: Logger, recorder: Recorder) {
        files = store
        self.log = log
        self.recorder = recorder
        servers = UpstreamServer.all(of: configuration)
        database = DatabasePool(configuration.workerDatabase)
    }

    /// The way of a blob here, which one more client waits for.
    ///
    /// - Parameter loop: by which the client's request came.
    /// - Returns: nil when it isn't to be asked for now.
    /// - Throws: `TooManyFetches`, or `SystemError` when the system has no more threads.
    func join(_ digest: Digest, loop: CacheLoop) throws -> Fetch? {
        guard !absent.contains(digest), !servers(for: digest).isEmpty else { return nil }
        let (fetch, isNew) = try fetches.withLock { fetches in
            if let fetch = fetches[digest], fetch.enter() { return (fetch, false) }
            guard fetches.count < Self.limit else { throw TooManyFetches() }
            let fetch = Fetch(digest)
            fetches[digest] = fetch
            return (fetch, true)
        }
        guard isNew else { return fetch }
        do {
            try Thread { [self] in run(fetch, loop: loop.passing(name)) }.detach()
        } catch {
            forget(fetch)
            fetch.end(.failed(nil))
            throw error
        }
        return fetch
    }

    private func forget(_ fetch: Fetch) {
        fetches.withLock { fetches in
            if fetches[fetch.digest] === fetch { fetches[fetch.digest] = nil }
        }
    }

    /// Those that may be asked for it now. Whether a breaker lets a request through is decided when it is sent.
    private func servers(for digest: Digest) -> [UpstreamServer] {
        servers.filter { !resting.contains(Resting(server: $0.name, digest: digest)) }
    }

    /// A blob that an upstream has.
    struct Found {
        /// In bytes; nil when the upstream doesn't say it.
        let size: Int?
    }

    /// Asks the upstreams for a blob without fetching it, unless it is on its way already.
    ///
    /// - Returns: nil when none has it.
    func find(_ digest: Digest, loop: CacheLoop) throws -> Found? {
        if let size = fetches.withLock({ $0[digest] })?.knownSize { return Found(size: size) }
        guard !absent.contains(digest), try database.withSession({ try BlobRepository(files, $0).mayFetch(digest) })
        else {
            return nil
        }
        var isAbsent = true
        for server in servers(for: digest) {
            guard server.breaker.allows() else {
                isAbsent = false
                continue
            }
            do {
                let head = try server.ask(.head, digest, loop: loop.passing(name)).head
                if head.status == 200 { return Found(size: head.contentLength) }
                if ![404, 410].contains(head.status) { isAbsent = false }
            } catch let failure as UpstreamFailure {
                isAbsent = false
                logFailure(failure, of: server, digest)
            }
        }
        if isAbsent { absent.insert(digest, for: Self.absence) }
        return nil
    }

    /// Whether all upstreams said so a short time ago.
    func isKnownAbsent(_ digest: Digest) -> Bool { absent.contains(digest) }

    /// For the metrics, whenever a server has been asked.
    func noteBreakers() { recorder.set(.openBreakers, to: servers.count { $0.breaker.isOpen }) }

    // MARK: The thread that fetches

    private func run(_ fetch: Fetch, loop: String) {
        recorder.add(to: .fetchesInFlight)
        defer { recorder.add(-1, to: .fetchesInFlight) }
        let end: Fetch.End?
        do {
            end = try fetchFromAny(fetch, loop: loop)
        } catch let error as StoreError where error.condition != .broken {
            end = .noRoom
        } catch {
            log.error("fetch failed", metadata: ["sha512": "\(fetch.digest)", "cause": "\(error)"])
            end = error.isTransient ? .unknown : .failed(nil)
        }
        // Whoever comes from here on finds the blob, or begins anew.
        forget(fetch)
        noteBreakers()
        fetch.end(end)
        if let end { recorder.add(to: .fetches, end.result.rawValue) }
    }

    /// - Returns: nil when it is verified.
    private func fetchFromAny(_ fetch: Fetch, loop: String) throws -> Fetch.End? {
        let digest = fetch.digest
        guard try database.withSession({ try BlobRepository(files, $0).mayFetch(digest) }) else { return .absent }
        // Not to ask for what can't be kept.
        try files.admit(bytes: 1)
        var (isAbsent, last) = (true, UpstreamFailure?.none)
        for server in servers(for: digest) {
            guard server.breaker.allows() else {
                isAbsent = false
                continue
            }
            do {
                if try FetchAttempt(fetch, from: server, in: files, loop: loop, recorder).fetch(store) { return nil }
            } catch let failure as UpstreamFailure {
                (isAbsent, last) = (false, failure)
                logFailure(failure, of: server, digest)
                if failure.rest > .zero {
                    resting.insert(Resting(server: server.name, digest: digest), for: failure.rest)
                }
                guard fetch.restart() else { return .failed(last) }
            } catch is Abandoned {
                log.info(
                    "fetch ended, nobody waits for it", metadata: ["sha512": "\(digest)", "upstream": "\(server.name)"])
                return .abandoned
            }
        }
        guard isAbsent else { return .failed(last) }
        absent.insert(digest, for: Self.absence)
        return .absent
    }

    /// Makes what was verified a blob. What can't be stored was fetched all the same: those who wait for it get it.
    private func store(_ file: FetchedFile, size: Int, of fetch: Fetch, from server: UpstreamServer) {
        var metadata: Logger.Metadata = [
            "sha512": "\(fetch.digest)", "upstream": "\(server.name)", "bytes": .stringConvertible(size),
            "milliseconds": .stringConvertible(Int(fetch.begin.duration(to: .now) / .milliseconds(1))),
        ]
        do {
            let isStored = try database.withSession {
                try BlobRepository(files, $0).storeFetched(file.body, as: fetch.digest, size: size, from: server.name)
            }
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
            passage.run(digest, from: servers(for: digest), loop: loop.passing(name)) { logFailure($0, of: $1, digest) }
        }.detach()
    }

    func logFailure(_ failure: UpstreamFailure, of server: UpstreamServer, _ digest: Digest) {
        recorder.add(to: .upstreamFailures, failure.reason.rawValue)
        log.warning(
            "upstream failed",
            metadata: [
                "upstream": "\(server.name)", "sha512": "\(digest)", "reason": "\(failure.reason.rawValue)",
                "cause": "\(failure)",
            ])
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
