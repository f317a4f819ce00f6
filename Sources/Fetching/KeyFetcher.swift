public import Configuration
import Glibc
import Logging
import Postgres
import ShaCache
import Storage
import System

/// Asks the upstreams for keys: for those who wait for it, each key once at a time; and for those whose list lookups found
/// stale.
public final class KeyFetcher: Sendable {
    private let fetcher: Fetcher
    private let rules: UploadRules
    /// Those that no upstream has, and those of which one gave something else than a list: not asked for in a while.
    private let resting = ExpiringSet<[UInt8]>(limit: 1 << 15)
    /// Keys that are being asked for.
    private let underWay = Monitor<Set<[UInt8]>>([])
    /// One long list is read at a time: it takes many times its bytes.
    private let reading = Monitor(())

    /// Keys that are asked for at once. Beyond, what is here is the answer.
    private static let limit = 64
    private static let rest = Duration.seconds(30)
    /// For an answer in all, from the end of its headers on.
    private static let time = Duration.seconds(30)
    /// Threads that ask again for what is stale.
    private static let threads = 4
    /// What is kept at most of all keys, and how often that is looked after, in seconds.
    private static let kept = (keys: 1_000_000, bytes: 4 << 30)
    private static let trimming: UInt32 = 600

    /// - Parameter configuration: the one that `fetcher` was made with.
    public init(_ fetcher: Fetcher, _ configuration: Configuration) {
        (self.fetcher, rules) = (fetcher, configuration.uploads.rules)
    }

    /// What is listed under a key when the upstreams have been asked, as far as they can be.
    ///
    /// - Parameter loop: by which the request came; nil: they aren't to be asked.
    /// - Throws: `DatabaseError`.
    func list(of key: Key, asking loop: CacheLoop?) throws -> KeyList? {
        if let loop, !loop.ends(at: fetcher.name) { refresh(key, loop: loop) }
        return try fetcher.database.withSession { try FetchedKeys($0).list(of: key) }
    }

    /// Asks for a key, or waits until another thread has.
    private func refresh(_ key: Key, loop: CacheLoop) {
        let name = Array(key.text.utf8)
        guard !resting.contains(name) else { return }
        let (isUnderWay, isMine) = underWay.changeQuietly { keys in
            guard !keys.contains(name) else { return (true, false) }
            return (false, keys.count < Self.limit && keys.insert(name).inserted)
        }
        if isUnderWay { return underWay.wait { $0.contains(name) ? nil : () } }
        if isMine { _ = ask(key, name, loop: loop) }
    }

    /// Asks for a key, whatever is remembered of it, and not before another thread's question is answered: that one may have
    /// been asked before what the caller knows of had come to be.
    func refreshAnyway(_ key: Key) -> Outcome {
        let name = Array(key.text.utf8)
        underWay.wait { (keys: inout Set<[UInt8]>) -> Void? in
            guard !keys.contains(name), keys.count < Self.limit else { return nil }
            keys.insert(name)
            return ()
        }
        return ask(key, name, loop: CacheLoop(""))
    }

    /// What the upstreams say of a key.
    enum Outcome {
        /// One has it.
        case listed
        case absent
        /// - Parameter isOfServer: it says nothing about the key, so that it is of use to ask again soon.
        case failed(any Error, isOfServer: Bool)
    }

    /// - Parameter name: which is under way, until this returns.
    private func ask(_ key: Key, _ name: [UInt8], loop: CacheLoop) -> Outcome {
        defer {
            underWay.change { $0.remove(name) }
            fetcher.noteBreakers()
        }
        do {
            let outcome = try ask(key, loop: loop.passing(fetcher.name))
            switch outcome {
            case .listed, .failed(_, isOfServer: true): break
            case .absent, .failed(_, isOfServer: false): resting.insert(name, for: Self.rest)
            }
            return outcome
        } catch {
            fetcher.log.error("key not asked for", metadata: ["key": "\(key.text)", "cause": "\(error)"])
            return .failed(error, isOfServer: true)
        }
    }

    /// The first upstream that has it decides. What one has said stays while that one gives no answer, whatever those behind
    /// it have.
    private func ask(_ key: Key, loop: String) throws -> Outcome {
        let known = try fetcher.database.withSession { try FetchedKeys($0).upstream(of: key) }
        var outcome = Outcome.absent
        for server in fetcher.servers {
            do {
                guard server.breaker.allows() else { throw NotAsked(upstream: server.name) }
                if let list = try server.list(of: key, atMost: listLimit, within: Self.time, loop: loop) {
                    try store(list, of: key, from: server)
                    return .listed
                }
            } catch {
                let wasOfServer = if case .failed(_, let isOfServer) = outcome { isOfServer } else { false }
                outcome = .failed(error, isOfServer: wasOfServer || error.isOfServer)
                logFailure(error, of: server, key)
                if server.name == known { return outcome }
            }
        }
        if case .absent = outcome, known != nil {
            try fetcher.database.withSession { try FetchedKeys($0).forget(key) }
        }
        return outcome
    }

    /// Of a list, in bytes: several times what the key may hold here, since JSON writes some characters longer.
    private var listLimit: Int { rules.keys.bytes * 4 }

    private func store(_ list: [UInt8], of key: Key, from server: UpstreamServer) throws {
        let fetched = try fetcher.database.withSession { session in
            let signers = try Signers(session).known()
            let fetched: FetchedList
            do {
                fetched = try reading.changeQuietly { _ in try FetchedList(list, of: key, by: rules, signers) }
            } catch let refusal as Refusal {
                throw UpstreamFailure(.notTheBlob, "\(server.upstream.shadir)/\(key.percentEncoded): \(refusal)")
            }
            try FetchedKeys(session).store(fetched, of: key, from: server.name)
            return fetched
        }
        guard let refusal = fetched.refusal else { return }
        fetcher.recorder.add(fetched.refusedPairs, to: .refusedPairs)
        fetcher.log.warning(
            "pairs refused",
            metadata: [
                "upstream": "\(server.name)", "key": "\(key.text)", "cause": "\(refusal)",
                "count": .stringConvertible(fetched.refusedPairs),
            ])
    }

    private func logFailure(_ error: any Error, of server: UpstreamServer, _ key: Key) {
        if error is NotAsked { return }
        var metadata: Logger.Metadata = ["upstream": "\(server.name)", "key": "\(key.text)", "cause": "\(error)"]
        if let failure = error as? UpstreamFailure {
            metadata["reason"] = "\(failure.reason.rawValue)"
            fetcher.recorder.add(to: .upstreamFailures, failure.reason.rawValue)
        }
        fetcher.log.warning("upstream failed", metadata: metadata)
    }

    // MARK: What is stale

    /// Asks again for what lookups found stale, and forgets what is too much, as long as the process runs.
    public func start() throws {
        for _ in 0..<Self.threads { try Thread { [self] in followWanted() }.detach() }
        try Thread { [self] in
            while true {
                sleep(Self.trimming)
                attempt { try $0.trim(keys: Self.kept.keys, bytes: Self.kept.bytes) }
            }
        }.detach()
    }

    private func followWanted() {
        while true {
            if let key = attempt({ try $0.takeWanted() }) ?? nil {
                refresh(key, loop: CacheLoop(""))
            } else {
                sleep(1)
            }
        }
    }

    private func attempt<Result>(_ body: (FetchedKeys) throws -> Result) -> Result? {
        do {
            return try fetcher.database.withSession { try body(FetchedKeys($0)) }
        } catch {
            fetcher.log.error("fetched keys not looked after", metadata: ["cause": "\(error)"])
            sleep(10)
            return nil
        }
    }
}

/// The breaker of an upstream is open.
struct NotAsked: Error, CustomStringConvertible {
    let upstream: String

    var description: String { "\(upstream) isn't asked for a while, since it did not answer" }
}

extension Error {
    /// Whether it says something about the upstream, or the database, and nothing about what was asked for.
    fileprivate var isOfServer: Bool {
        switch self {
        case let failure as UpstreamFailure: failure.isOfServer
        default: true
        }
    }
}
