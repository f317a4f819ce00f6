import FastCGI
import ShaCache
import Storage
import Synchronization

/// What `shacache-admin mirror` asks for. It goes the way of what clients ask for, but that nobody is sent anything.
extension FetchResponder {
    /// How many such requests are answered at once.
    public static let aheadLimit = 64

    func answerAhead(_ request: AheadRequest, _ source: borrowing FastCGIRequest) {
        defer { ahead.subtract(1, ordering: .relaxed) }
        guard ahead.add(1, ordering: .relaxed).newValue <= Self.aheadLimit else {
            return source.send(.serviceUnavailable, "too much is being fetched ahead")
        }
        var answer: AheadAnswer
        do {
            guard let result = try perform(request, source) else { return source.giveUp() }
            answer = result
        } catch  where error is UpstreamFailure || error is NotAsked {
            answer = AheadAnswer(.failed, "\(error)")
        } catch {
            answer = AheadAnswer(.unavailable, "\(error)")
        }
        answer.away = fetcher.servers.filter(\.breaker.isOpen).map(\.name)
        source.send(
            status: "200 OK", headers: [("Content-Type", "text/plain; charset=utf-8")], body: Array(answer.text.utf8))
    }

    /// - Returns: nil when nobody waits for it any more.
    private func perform(_ request: AheadRequest, _ source: borrowing FastCGIRequest) throws -> AheadAnswer? {
        switch request {
        case .key(let key): try askAhead(for: key)
        case .blob(let digest): try fetchAhead(digest, source)
        case .hiddenBlob(let digest): try fetcher.dropIfGone(digest)
        }
    }

    private func askAhead(for key: Key) throws -> AheadAnswer {
        switch keys.refreshAnyway(key) {
        case .absent: return AheadAnswer(.absent)
        case .failed(let error, _): throw error
        case .listed:
            var answer = AheadAnswer(.listed)
            answer.lacking = try fetcher.database.withSession { try FetchedKeys($0).lackingBlobs(of: key) }
            return answer
        }
    }

    private func fetchAhead(_ digest: Digest, _ source: borrowing FastCGIRequest) throws -> AheadAnswer? {
        let presence = try fetcher.database.withSession { try BlobRepository(fetcher.files, $0).presence(of: digest) }
        guard presence != .intact else { return AheadAnswer(.here) }
        guard let fetch = try fetcher.join(digest, loop: CacheLoop("")) else {
            return fetcher.isKnownAbsent(digest)
                ? AheadAnswer(.absent) : AheadAnswer(.failed, "no upstream gave it a short time ago")
        }
        defer { fetch.leave() }
        while true {
            if let answer = fetch.wait(atMost: Self.interval, for: { Self.aheadAnswer(at: $0) }) { return answer }
            if source.isAbandoned { return nil }
        }
    }

    private static func aheadAnswer(at progress: Fetch.Progress) -> AheadAnswer? {
        switch progress.phase {
        case .asking, .receiving: return nil
        case .stored:
            var answer = AheadAnswer(.fetched)
            answer.bytes = progress.received
            return answer
        // It is about to be stored.
        case .verified: return progress.isOver ? AheadAnswer(.unavailable, "it came, and could not be stored") : nil
        case .failed(.absent): return AheadAnswer(.absent)
        case .failed(.failed(let failure)):
            return AheadAnswer(.failed, failure.map { "\($0)" } ?? "no upstream gave it")
        case .failed(.unknown): return AheadAnswer(.unavailable, "the database is away")
        case .failed(.noRoom): return AheadAnswer(.unavailable, "the store has no room")
        case .failed(.abandoned): return AheadAnswer(.unavailable, "its clients left")
        }
    }
}

extension Fetcher {
    /// Lets go of a blob, if the upstream that it came from doesn't have it any more: whatever a feed says, that is what
    /// counts.
    ///
    /// - Throws: `UpstreamFailure` or `NotAsked`; `DatabaseError` or `StoreError`.
    func dropIfGone(_ digest: Digest) throws -> AheadAnswer {
        let source = try database.withSession { try BlobRepository(files, $0).upstream(of: digest) }
        guard let server = servers.first(where: { $0.name == source }) else { return AheadAnswer(.absent) }
        let verdict: Verdict<Void> = try ask([server], for: .blob(digest), loop: CacheLoop("")) { server, loop in
            try server.find(digest, loop: loop).map { _ in }
        }
        switch verdict {
        case .found: return AheadAnswer(.here)
        case .failed(let error): throw error
        case .absent: break
        }
        guard try database.withSession({ try BlobRepository(files, $0).drop(digest, from: server.name) }) else {
            return AheadAnswer(.here)
        }
        log.info(
            "dropped, its upstream has withdrawn it", metadata: ["sha512": "\(digest)", "upstream": "\(server.name)"])
        return AheadAnswer(.dropped)
    }
}
