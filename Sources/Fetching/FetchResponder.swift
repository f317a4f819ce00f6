public import FastCGI
import Logging
import Postgres
import ShaCache
import Storage
import Synchronization
import System

/// Answers the requests that workers handed on. Its threads wait for blobs that come, and for clients that take them; the
/// threads that fetch wait for neither.
public final class FetchResponder: Sendable {
    let fetcher: Fetcher
    let keys: KeyFetcher
    /// How many clients may be fed at once.
    private let clientLimit: Int
    private let clients = Atomic(0)
    /// Of the names that an address asks for and that no upstream has: whoever makes them up would otherwise have this cache
    /// ask for each.
    private let misses = ClientBuckets(capacity: 1000, rate: 10)
    private let passages = Atomic(0)

    /// Of what can't be stored, each client has a connection to the upstream, and some memory.
    private static let passageLimit = 32

    /// How long something small is waited for, so that it can be sent as a whole.
    private static let patience = Duration.seconds(1)
    private static let small = 1 << 20
    /// How long one of many clients waits until it can be sent a whole file, where that is to be expected by then.
    private static let crowdPatience = Duration.seconds(10)
    /// How long a client waits for its turn. The deployed clients wait a minute for an answer.
    private static let turn = Duration.seconds(40)
    /// How often it is looked whether the client is still there.
    static let interval = Duration.seconds(1)

    /// - Parameter clients: how many may be fed at once.
    public init(_ fetcher: Fetcher, _ keys: KeyFetcher, clients: Int) {
        (self.fetcher, self.keys) = (fetcher, keys)
        clientLimit = clients
    }

    /// Requests for blobs that are answered or wait.
    private let present = Atomic(0)
    /// How many may wait for their turn.
    private static let waiting = 64
    /// Threads that no request for a blob has: keys wait for no blob.
    private static let spare = 96
    /// What is fetched ahead takes no thread from clients.
    let ahead = Atomic(0)

    /// How many threads it needs.
    public static func threads(clients: Int) -> Int { clients + waiting + spare + aheadLimit }

    public func answer(_ source: borrowing FastCGIRequest) {
        guard let request = FetchRequest(source) else { return source.send(.notFound, "nothing is here") }
        switch request.route {
        case .blob(let digest, let delivery): answerBlob(digest, delivery, request, source)
        case .key(let key): answerKey(key, request, source)
        case .ahead(let ahead): answerAhead(ahead, source)
        }
    }

    /// What is here when the upstream has been asked, or can't be. Whoever asks for too much that is nowhere gets what is here,
    /// too.
    private func answerKey(_ key: Key, _ request: FetchRequest, _ source: borrowing FastCGIRequest) {
        let mayAsk = !request.isLimited || misses.delay(before: 1, from: request.clientAddress) == nil
        do {
            guard let list = try keys.list(of: key, asking: mayAsk ? request.loop : nil) else {
                misses.take(1, from: request.clientAddress)
                return source.send(.notFound, key.absence, to: request, headers: upstreamHeaders)
            }
            source.send(
                status: "200 OK",
                headers: listHeaders(list.provenance) + [("Content-Length", "\(list.bytes.count)")], body: list.bytes)
        } catch is TooManyQuestions {
            source.send(.serviceUnavailable, "too many keys are asked for, try again", to: request, retryAfter: 10)
        } catch {
            fetcher.log.error(
                "failed", metadata: ["request_id": "\(request.requestID)", "key": "\(key.text)", "cause": "\(error)"])
            source.send(.serviceUnavailable, "the key can't be looked up now, try again", to: request, retryAfter: 10)
        }
    }

    private func answerBlob(
        _ digest: Digest, _ delivery: BlobDelivery, _ request: FetchRequest, _ source: borrowing FastCGIRequest
    ) {
        guard !request.loop.ends(at: fetcher.name) else { return sendAbsence(of: digest, to: request, source) }
        if request.isLimited, let pause = misses.delay(before: 1, from: request.clientAddress) {
            return source.send(
                .tooManyRequests, "too much that is nowhere is asked for from this address", to: request,
                retryAfter: pause)
        }
        defer { present.subtract(1, ordering: .relaxed) }
        guard present.add(1, ordering: .relaxed).newValue <= clientLimit + Self.waiting else {
            return source.send(.serviceUnavailable, "too many clients wait for blobs, try again", to: request)
        }
        do {
            if request.isHead { return try answerHead(digest, request, source) }
            guard let fetch = try fetcher.join(digest, loop: request.loop) else {
                return sendAbsence(of: digest, to: request, source)
            }
            defer { fetch.leave() }
            answer(request, with: fetch, delivery, source)
        } catch is TooManyFetches {
            source.send(.serviceUnavailable, "too much is being fetched, try again", to: request, retryAfter: 10)
        } catch {
            fetcher.log.error(
                "failed", metadata: ["request_id": "\(request.requestID)", "sha512": "\(digest)", "cause": "\(error)"])
            source.send(.serviceUnavailable, "the blob can't be fetched now, try again", to: request, retryAfter: 10)
        }
    }

    /// What a miss would have had. To a deployed client that resumes, without a body: it would splice that into its file.
    private func sendAbsence(of digest: Digest, to request: FetchRequest, _ source: borrowing FastCGIRequest) {
        source.send(.notFound, digest.absence, to: request, headers: upstreamHeaders)
    }

    /// Where else was looked.
    private var upstreamHeaders: [(name: String, value: String)] {
        let upstreams = fetcher.servers.map { UpstreamList.Upstream(name: $0.name, state: $0.breaker.listed) }
        return [(UpstreamList.headerName, UpstreamList(upstreams).text)]
    }

    private func answerHead(_ digest: Digest, _ request: FetchRequest, _ source: borrowing FastCGIRequest) throws {
        guard case .found(let found) = try fetcher.find(digest, loop: request.loop) else {
            misses.take(1, from: request.clientAddress)
            return sendAbsence(of: digest, to: request, source)
        }
        let length = found.size.map { [("Content-Length", "\($0)")] } ?? []
        source.begin(status: "200 OK", headers: digest.blobHeaders + length)
    }

    /// What a client gets of a fetch.
    private enum Answer {
        case redirection, feeding
        case over(Fetch.End)
    }

    private func answer(
        _ request: FetchRequest, with fetch: Fetch, _ delivery: BlobDelivery, _ source: borrowing FastCGIRequest
    ) {
        let start = ContinuousClock.now
        let deadline = start + Self.crowdPatience
        var hasTurn = false
        defer { if hasTurn { clients.subtract(1, ordering: .relaxed) } }
        while true {
            hasTurn = hasTurn || takeTurn()
            let isPatient = start.duration(to: .now) < Self.patience
            let answer = fetch.wait(atMost: Self.interval) {
                Self.answer(at: $0, canFeed: hasTurn && $0.mayFeed(until: deadline, at: .now), isPatient: isPatient)
            }
            switch answer {
            case .redirection:
                return source.redirect(to: delivery.location(of: LocalBlobs.place(of: fetch.digest)), fetch.digest)
            case .feeding:
                // Not when it begins anew with another upstream, or others came first.
                if let (file, size) = fetch.beginFeeding(until: deadline) {
                    defer { fetch.endFeeding() }
                    fetcher.recorder.add(to: .fedClients)
                    defer { fetcher.recorder.add(-1, to: .fedClients) }
                    return Feeding(fetch, file, size: size, fetcher.recorder).feed(
                        request, isWhole: delivery == .whole, source)
                }
            case .over(.absent), .over(.failed), .over(.abandoned):
                misses.take(1, from: request.clientAddress)
                return sendAbsence(of: fetch.digest, to: request, source)
            case .over(.noRoom): return pass(fetch.digest, request, isWhole: delivery == .whole, source)
            case .over(.unknown):
                return source.send(.serviceUnavailable, "the database is away, try again", to: request, retryAfter: 10)
            case nil:
                if source.isAbandoned { return source.giveUp() }
                if !hasTurn, start.duration(to: .now) > Self.turn {
                    return source.send(
                        .serviceUnavailable, "too many clients are being sent blobs, try again", to: request,
                        retryAfter: 10)
                }
            }
        }
    }

    private func pass(
        _ digest: Digest, _ request: FetchRequest, isWhole: Bool, _ source: borrowing FastCGIRequest
    ) {
        defer { passages.subtract(1, ordering: .relaxed) }
        guard passages.add(1, ordering: .relaxed).newValue <= Self.passageLimit else {
            return source.send(
                .serviceUnavailable, "the store is full, and too many clients are sent blobs, try again", to: request,
                retryAfter: 10)
        }
        let passage = Passage()
        defer { passage.leave() }
        do { try fetcher.pass(digest, through: passage, loop: request.loop) } catch {
            return source.send(
                .serviceUnavailable, "the blob can't be fetched now, try again", to: request, retryAfter: 10)
        }
        while true {
            switch passage.outlook(atMost: Self.interval) {
            case .size(let size): return pass(digest, through: passage, of: size, request, isWhole: isWhole, source)
            case .unsized:
                return source.send(
                    .serviceUnavailable, "the store is full, and no upstream says how large the blob is, try again",
                    to: request, retryAfter: 10)
            case .absent: return sendAbsence(of: digest, to: request, source)
            case nil: if source.isAbandoned { return source.giveUp() }
            }
        }
    }

    private func pass(
        _ digest: Digest, through passage: Passage, of size: Int, _ request: FetchRequest, isWhole: Bool,
        _ source: borrowing FastCGIRequest
    ) {
        guard let range = source.begin(digest, of: size, for: request, isWhole: isWhole) else { return }
        var offset = 0
        while offset < range.upperBound {
            switch passage.next(atMost: Self.interval) {
            case .bytes(let bytes):
                let wanted = range.clamped(to: offset..<offset + bytes.count)
                let isSent = bytes.withUnsafeBytes { bytes in
                    source.send(
                        UnsafeRawBufferPointer(rebasing: bytes[wanted.lowerBound - offset..<wanted.upperBound - offset])
                    )
                }
                offset += bytes.count
                guard isSent, source.flush() else { return source.giveUp() }
            case .end: return source.giveUp()
            case nil: if source.isAbandoned { return source.giveUp() }
            }
        }
    }

    private static func answer(at progress: Fetch.Progress, canFeed: Bool, isPatient: Bool) -> Answer? {
        switch progress.phase {
        case .stored: return .redirection
        case .failed(let end): return .over(end)
        case .verified: return canFeed ? .feeding : nil
        case .asking: return nil
        case .receiving:
            guard canFeed, let size = progress.size, size > Fetch.heldBack else { return nil }
            return size > small || !isPatient ? .feeding : nil
        }
    }

    private func takeTurn() -> Bool {
        guard clients.add(1, ordering: .relaxed).newValue > clientLimit else { return true }
        clients.subtract(1, ordering: .relaxed)
        return false
    }
}

extension Digest {
    /// Of a download of the blob, as a worker sends them.
    var blobHeaders: [(name: String, value: String)] {
        [
            ("Content-Type", "application/octet-stream"), ("Cache-Control", "public, max-age=31556926, immutable"),
            ("ETag", "\"\(self)\""), ("X-Content-Type-Options", "nosniff"), ("Accept-Ranges", "bytes"),
        ]
    }
}

extension FastCGIRequest {
    /// - Parameter pause: in seconds.
    func send(
        _ status: Status, _ line: String, to request: FetchRequest, retryAfter pause: Int? = nil,
        headers: [(name: String, value: String)] = []
    ) {
        send(status, request.range.isEmpty ? line : "", retryAfter: pause, headers: headers)
    }

    func send(
        _ status: Status, _ line: String, retryAfter pause: Int? = nil, headers: [(name: String, value: String)] = []
    ) {
        let body = line.isEmpty ? [] : Array("\(line)\n".utf8)
        let retry = pause.map { [("Retry-After", "\($0)")] } ?? []
        send(
            status: "\(status.rawValue) \(status.reasonPhrase)",
            headers: [("Content-Type", "text/plain; charset=utf-8"), ("Cache-Control", "no-store")] + retry + headers
                + [("Content-Length", "\(body.count)")],
            body: body)
    }

    /// Lets nginx send what is here now.
    func redirect(to location: String, _ digest: Digest) {
        let headers = digest.blobHeaders.filter { ["Content-Type", "Cache-Control", "ETag"].contains($0.name) }
        begin(status: "200 OK", headers: headers + [("X-Accel-Redirect", location)])
    }
}
