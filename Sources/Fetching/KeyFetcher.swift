import CLinux
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
    private let underWay = Monitor<Set<Question>>([])

    /// A key that is being asked for. What came by another way asks by itself: two caches that name each other would else wait
    /// for each other.
    private struct Question: Hashable {
        let name: [UInt8]
        let loop: CacheLoop
    }

    /// Questions that are asked at once.
    private static let limit = 64
    /// How long one more waits until there are fewer.
    private static let turn = Duration.seconds(5)
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
    /// - Throws: `TooManyQuestions` when they could not be, and nothing is known of the key; `DatabaseError`.
    func list(of key: Key, asking loop: CacheLoop?) throws -> KeyList? {
        guard let loop, !loop.ends(at: fetcher.name), !refresh(key, loop: loop) else { return try list(of: key) }
        // What is here of another list is an answer, what there is of none would deny it.
        if let list = try list(of: key), list.provenance != nil { return list }
        let isAnswered = refresh(key, loop: loop, waiting: Self.turn)
        let list = try list(of: key)
        guard isAnswered || list != nil else { throw TooManyQuestions() }
        return list
    }

    private func list(of key: Key) throws -> KeyList? {
        try fetcher.database.withSession { try FetchedKeys($0).list(of: key) }
    }

    /// Asks for a key, or waits until another thread has.
    ///
    /// - Parameter turn: how long it waits until it may ask.
    /// - Returns: false when it might not.
    private func refresh(_ key: Key, loop: CacheLoop, waiting turn: Duration = .zero) -> Bool {
        let name = Array(key.text.utf8)
        guard !resting.contains(name) else { return true }
        let question = Question(name: name, loop: loop)
        let isMine: Bool? = underWay.wait(atMost: turn) { questions in
            guard !questions.contains(question) else { return false }
            return questions.count < Self.limit ? questions.insert(question).inserted : nil
        }
        switch isMine {
        case nil: return false
        case true: _ = ask(key, question)
        case false: underWay.wait { $0.contains(question) ? nil : () }
        }
        return true
    }

    /// Asks for a key, whatever is remembered of it, and not before another thread's question is answered: that one may have
    /// been asked before what the caller knows of had come to be.
    func refreshAnyway(_ key: Key) -> Outcome {
        let question = Question(name: Array(key.text.utf8), loop: CacheLoop(""))
        underWay.wait { (questions: inout Set<Question>) -> Void? in
            guard !questions.contains(question), questions.count < Self.limit else { return nil }
            questions.insert(question)
            return ()
        }
        return ask(key, question)
    }

    /// What the upstreams say of a key.
    enum Outcome {
        /// One has it.
        case listed
        case absent
        /// - Parameter isOfServer: it says nothing about the key, so that it is of use to ask again soon.
        case failed(any Error, isOfServer: Bool)
    }

    /// - Parameter question: which is under way, until this returns.
    private func ask(_ key: Key, _ question: Question) -> Outcome {
        defer { underWay.change { $0.remove(question) } }
        do {
            let outcome = try ask(key, loop: question.loop)
            switch outcome {
            case .listed, .failed(_, isOfServer: true): break
            // An upstream may have said so only because the cache that asks is its own upstream.
            case .absent where question.loop.isPassedOn: break
            case .absent, .failed(_, isOfServer: false): resting.insert(question.name, for: Self.rest)
            }
            return outcome
        } catch {
            fetcher.log.error("key not asked for", metadata: ["key": "\(key.text)", "cause": "\(error)"])
            return .failed(error, isOfServer: true)
        }
    }

    /// The first upstream that has it decides. What one has said stays while that one gives no answer, whatever those behind
    /// it have.
    private func ask(_ key: Key, loop: CacheLoop) throws -> Outcome {
        let known = try fetcher.database.withSession { try FetchedKeys($0).upstream(of: key) }
        // What fails for a reason of the server's, or isn't asked since that did, says nothing about the key.
        var isOfServer = false
        let verdict: Verdict<Void> = try fetcher.ask(fetcher.servers, for: .key(key), loop: loop) {
            server, loop in
            var isLong = false
            defer { if isLong { leaveLong(server) } }
            let list = try server.list(of: key, atMost: listLimit, within: Self.time, loop: loop) { [self] in
                try enterLong(server)
                isLong = true
            }
            return try list.map { try store($0, of: key, from: server) }
        } orElse: { server, failure in
            isOfServer = isOfServer || failure?.isOfServer ?? true
            return server.name != known
        }
        switch verdict {
        case .found: return .listed
        case .failed(let error): return .failed(error, isOfServer: isOfServer)
        case .absent:
            if known != nil { try fetcher.database.withSession { try FetchedKeys($0).forget(key) } }
            return .absent
        }
    }

    /// Waits until an upstream may send a long list: one is in memory at a time, which takes many times its bytes, and one
    /// upstream's keep no other's.
    private func enterLong(_ server: UpstreamServer) throws {
        let mayEnter: Void? = server.sendsLongList.wait(atMost: Self.time) { isTaken in
            guard !isTaken else { return nil }
            isTaken = true
            return ()
        }
        guard mayEnter != nil else {
            throw UpstreamFailure(.interrupted, "\(server.name): its long lists take too long")
        }
    }

    private func leaveLong(_ server: UpstreamServer) {
        // What is free in the middle of the heap isn't given back by itself.
        malloc_trim(0)
        server.sendsLongList.changeWakingOne { $0 = false }
    }

    /// Of a list, in bytes: several times what the key may hold here, since JSON writes some characters longer.
    private var listLimit: Int { rules.keys.bytes * 4 }

    private func store(_ list: [UInt8], of key: Key, from server: UpstreamServer) throws {
        let fetched = try fetcher.database.withSession { session in
            let signers = try Signers(session).known()
            let fetched: FetchedList
            do {
                fetched = try FetchedList(list, of: key, by: rules, signers)
            } catch let refusal as Refusal {
                throw UpstreamFailure(.notTheBlob, "\(server.upstream.shadir)/\(key.percentEncoded): \(refusal)")
            }
            try FetchedKeys(session).store(fetched, of: key, from: server.name)
            return fetched
        }
        server.ledger.count { $0.keys += 1 }
        guard let refusal = fetched.refusal else { return }
        fetcher.recorder.add(fetched.refusedPairs, to: .refusedPairs)
        server.ledger.count { $0.refusedPairs += fetched.refusedPairs }
        server.ledger.note(
            UpstreamFault(.key(key), reason: "refused pairs", detail: "\(fetched.refusedPairs): \(refusal)"))
        fetcher.log.warning(
            "pairs refused",
            metadata: [
                "upstream": "\(server.name)", "key": "\(key.text)", "cause": "\(refusal)",
                "count": .stringConvertible(fetched.refusedPairs),
            ])
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
                _ = refresh(key, loop: CacheLoop(""), waiting: Self.turn)
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

/// As many keys are asked for as may be.
struct TooManyQuestions: Error {}
