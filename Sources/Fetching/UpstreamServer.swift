import Configuration
import HTTP
import ShaCache
import Synchronization
import System

/// An upstream as this process knows it. Shared by all threads.
final class UpstreamServer: Sendable {
    let upstream: Upstream
    let breaker = CircuitBreaker()
    let ledger = UpstreamLedger()
    /// Whether a key's list that is a long one is being read.
    let sendsLongList = Monitor(false)
    /// The hosts that the configuration names, in lower case.
    private let hosts: Set<String>
    private let sessions = SessionPool()
    private let pace: Mutex<Pace>?

    /// What it sends beyond a blob isn't read: an error page, say.
    private static let bodyLimit = 64 << 10
    /// Received at once; each request that is under way has as much memory.
    private static let bufferSize = 16 << 10
    private static let redirectLimit = 5
    /// In bytes: more in memory for many keys at once would be too much.
    private static let long = 128 << 10
    /// In bytes a second: what is slower than this over the stall timeout has stalled.
    private static let leastRate = 1000

    /// - Parameter hosts: to which any upstream may redirect, in lower case.
    init(_ upstream: Upstream, hosts: Set<String>) {
        self.upstream = upstream
        self.hosts = hosts
        pace = upstream.bandwidth.map { Mutex(Pace(perSecond: $0)) }
    }

    /// Each of them may redirect to the hosts of all.
    static func all(of upstreams: [Upstream]) -> [UpstreamServer] {
        let hosts =
            upstreams.flatMap { [$0.shacache, $0.shadir, $0.feed] }.compactMap { host(ofURL: $0) }
            + upstreams.flatMap(\.redirectHosts).map { $0.lowercased() }
        return upstreams.map { UpstreamServer($0, hosts: Set(hosts)) }
    }

    var name: String { upstream.name }

    /// What it answers to a GET or a HEAD.
    struct Answer {
        let head: Head
        let part: Part?
    }

    /// Asks for a blob, and notes for the others whether an answer came.
    ///
    /// - Parameters:
    ///   - start: how many of its bytes are there.
    ///   - time: in which the first byte has to come, in seconds; nil: as the next ones.
    ///   - loop: the header CDN-Loop.
    ///   - receive: called with the bytes, a piece at a time, and which part of the blob they belong to.
    /// - Throws: `UpstreamFailure`, and what `receive` threw.
    func ask(
        _ method: HTTPMethod, _ digest: Digest, from start: Int = 0, within time: Int? = nil, loop: String,
        receive: @escaping (Head, Part, UnsafeRawBufferPointer) throws -> Void = { _, _, _ in }
    ) throws -> Answer {
        var request = request(method, "\(upstream.shacache)/\(digest)", loop: loop)
        request.timeouts.firstByte = time
        return try ask(request, from: start, atMost: upstream.sizeLimit) { [ledger] head, part, bytes in
            ledger.count { $0.bytes += bytes.count }
            try receive(head, part, bytes)
        }
    }

    /// Asks for the list of a key, as `ask` for a blob.
    ///
    /// - Parameters:
    ///   - limit: in bytes.
    ///   - time: how long it may take in all, however its pieces come.
    ///   - beforeLong: called when the list turns out to be a long one, before more of it is read.
    /// - Returns: nil when the upstream doesn't have it.
    /// - Throws: `UpstreamFailure`.
    func list(
        of key: Key, atMost limit: Int, within time: Duration, loop: String, beforeLong: @escaping () throws -> Void
    ) throws -> [UInt8]? {
        let url = "\(upstream.shadir)/\(key.percentEncoded)"
        let (head, list) = try text(at: url, atMost: limit, within: time, loop: loop, beforeLong: beforeLong)
        return try Self.has(url, head.status) ? list : nil
    }

    /// A blob that it has.
    struct Found {
        /// In bytes; nil when it doesn't say it.
        let size: Int?
    }

    /// Asks whether it has a blob, without fetching it: by a GET of which the head is read, where it knows no HEAD.
    ///
    /// - Returns: nil when it doesn't have it.
    /// - Throws: `UpstreamFailure`.
    func find(_ digest: Digest, loop: String) throws -> Found? {
        var head = try ask(.head, digest, loop: loop).head
        if [405, 501].contains(head.status) {
            do {
                head = try ask(.get, digest, loop: loop) { head, _, _ in throw HeadRead(head: head) }.head
            } catch let read as HeadRead {
                head = read.head
            }
        }
        return try has(digest, head) ? Found(size: head.contentLength) : nil
    }

    /// Whether it has a blob, by its answer.
    ///
    /// - Throws: `UpstreamFailure` when that says neither.
    func has(_ digest: Digest, _ head: Head) throws -> Bool {
        try Self.has("\(upstream.shacache)/\(digest)", head.status)
    }

    private static func has(_ url: String, _ status: Int) throws -> Bool {
        switch status {
        case 200: true
        case 404, 410: false
        default: throw UpstreamFailure(.status, "\(url): answers \(status)")
        }
    }

    /// Asks for what is kept in memory; the same.
    ///
    /// - Returns: the bytes of a 200, and of no other answer.
    func text(
        at url: String, atMost limit: Int, within time: Duration, loop: String,
        beforeLong: @escaping () throws -> Void = {}
    ) throws -> (Head, [UInt8]) {
        let end = ContinuousClock.now + time
        var text: [UInt8] = []
        // The session keeps what receives it, until it is used again.
        defer { text = [] }
        let head = try ask(request(.get, url, loop: loop), atMost: limit) { _, part, bytes in
            guard .now < end else { throw UpstreamFailure(.interrupted, "\(url): takes more than \(time)") }
            if text.count <= Self.long, text.count + bytes.count > Self.long {
                try beforeLong()
                // Which is no more than the limit, or would have been refused.
                text.reserveCapacity(part.size ?? 0)
            }
            text.append(contentsOf: bytes)
        }.head
        return (head, text)
    }

    /// - Parameter limit: of the whole, in bytes.
    private func ask(
        _ request: HTTPRequest, from start: Int = 0, atMost limit: Int,
        receive: @escaping (Head, Part, UnsafeRawBufferPointer) throws -> Void
    ) throws -> Answer {
        var count = 0
        let begin = ContinuousClock.now
        do {
            let answer = try sessions.withSession { session in
                try follow(request, from: start, session) { head, part, bytes in
                    // Not when it ends, which may be in hours.
                    if count == 0 { self.breaker.noteSuccess() }
                    count += bytes.count
                    guard part.size ?? 0 <= limit, part.start + count <= limit else {
                        throw UpstreamFailure(.tooLarge, "\(request.url): sends more than \(limit) bytes")
                    }
                    try receive(head, part, bytes)
                    self.pace?.withLock { $0.spend(bytes.count) }
                }
            }
            breaker.noteSuccess()
            return answer
        } catch let failure as UpstreamFailure {
            if failure.isOfServer {
                breaker.noteFailure(isUntrusted: failure.reason == .certificate)
            } else if failure.mayBeOfServer {
                breaker.noteSilence(since: begin, isUntrusted: failure.reason == .certificate)
            } else {
                breaker.noteSuccess()
            }
            throw failure
        }
    }

    /// libcurl would follow a redirect to anywhere.
    private func follow(
        _ first: HTTPRequest, from start: Int, _ session: HTTPSession,
        receive: @escaping (Head, Part, UnsafeRawBufferPointer) throws -> Void
    ) throws -> Answer {
        var request = first
        for _ in 0...Self.redirectLimit {
            let (response, part): (HTTPResponse, Part?)
            do {
                (response, part) =
                    request.method == .head
                    ? (try session.send(request), nil) : try session.getFile(request, from: start, receive: receive)
            } catch let failure as HTTPFailure {
                throw UpstreamFailure(failure, isRedirected: request.url != first.url)
            }
            guard (300..<400).contains(response.status), let next = response.redirection else {
                return Answer(head: response.head, part: part)
            }
            guard mayRedirect(from: request.url, to: next) else {
                throw UpstreamFailure(
                    .redirect,
                    "\(first.url): redirects to \(withoutCredentials(next).prefix { $0 != "?" }), a host that isn't configured"
                )
            }
            request = HTTPRequest(first, at: next)
            // Another host has no use for the certificate.
            (request.identity.certificateFile, request.identity.keyFile) = (nil, nil)
        }
        throw UpstreamFailure(.redirect, "\(first.url): redirects more than \(Self.redirectLimit) times")
    }

    private func request(_ method: HTTPMethod, _ url: String, loop: String) -> HTTPRequest {
        var request = HTTPRequest(method, url)
        request.headers = [(CacheLoop.headerName, loop)]
        request.identity = Identity(
            authorityFile: upstream.authorityFile, certificateFile: upstream.certificateFile, keyFile: upstream.keyFile)
        request.timeouts.connect = upstream.headerTimeout
        request.timeouts.answer = upstream.headerTimeout
        request.timeouts.stall = upstream.stallTimeout
        request.timeouts.leastBytes = upstream.stallTimeout * Self.leastRate
        request.bodyLimit = Self.bodyLimit
        request.bufferSize = Self.bufferSize
        return request
    }

    private func mayRedirect(from url: String, to next: String) -> Bool {
        guard let host = host(ofURL: next), hosts.contains(host) else { return false }
        return next.lowercased().hasPrefix("https:") || !url.lowercased().hasPrefix("https:")
    }
}

/// Ends a request when its body begins.
private struct HeadRead: Error {
    let head: Head
}

/// The host of a URL in lower case, without a port; nil when there are credentials before it, or anything that could be read
/// in two ways.
func host(ofURL url: String) -> String? {
    url.lowercased().prefixMatch(of: /https?:\/\/([a-z0-9._-]+|\[[0-9a-f:.]+\])(?::[0-9]+)?(?:[\/?#]|$)/).map {
        String($0.1)
    }
}

/// Sessions that no thread uses at the moment, whose connections stay open. `@unchecked Sendable`: a session is in the pool or
/// in one thread's hands.
private final class SessionPool: @unchecked Sendable {
    private let idle = Monitor<[HTTPSession]>([])

    /// More would only hold connections open.
    private static let limit = 32

    func withSession<Result>(_ body: (HTTPSession) throws -> Result) rethrows -> Result {
        let session = idle.changeQuietly { $0.popLast() } ?? HTTPSession(agent: "ShaCache/\(Version.current)")
        defer {
            idle.changeQuietly { idle in
                if idle.count < Self.limit { idle.append(session) }
            }
        }
        return try body(session)
    }
}
