import HTTP
public import ShaCache
public import System

/// A network cache as a node uses it: SHACACHE and SHADIR over HTTP. Belongs to one thread.
public final class Cache {
    /// Which cache, and how to deal with it. Several threads share it, each with a `Cache` of its own.
    public struct Settings: Sendable {
        public let configuration: NodeConfiguration
        public let use: Use
        let retry: Retry
        let timeout: Int
        let usesProxies: Bool
        /// Whether the server that is read from takes questions in lists.
        let lists = ListSupport()

        /// - Parameters:
        ///   - retries: tries after the first, of what another try can help.
        ///   - timeout: how long is waited, in all tries, for an answer to what is looked up or fetched, while nothing
        ///     or hardly anything comes, in seconds.
        ///   - hasAlternative: whether what the cache doesn't give can be had elsewhere, an origin or a compiler: then
        ///     all of its troubles together take no longer than that either.
        ///   - isFollowed: whether that is another cache, which is asked at once when no connection comes about.
        ///   - usesProxies: whether the cache is reached through the proxies of the environment.
        public init(
            _ configuration: NodeConfiguration, for use: Use, retries: Int, timeout: Int, hasAlternative: Bool = false,
            isFollowed: Bool = false, usesProxies: Bool = true, reporter: Reporter
        ) {
            self.configuration = configuration
            self.use = use
            self.timeout = timeout
            self.usesProxies = usesProxies
            retry = Retry(
                limit: retries, hasAlternative: hasAlternative || isFollowed, isFollowed: isFollowed, reporter: reporter
            )
        }
    }

    let settings: Settings
    private let session: HTTPSession
    /// Whether all the time for its retries was used up, where the cache isn't the only one to ask.
    private var isGivenUp = false

    public init(_ settings: Settings) {
        self.settings = settings
        session = HTTPSession(agent: "shacache", usesProxies: settings.usesProxies)
    }

    var configuration: NodeConfiguration { settings.configuration }
    var use: Use { settings.use }
    var lists: ListSupport { settings.lists }

    /// Whether this machine knows where nodes read a service.
    func reads(_ service: CacheService) -> Bool { configuration.endpoint(.download, service, for: use) != nil }

    /// What a server needs at most to take in a large body before it answers, in seconds: the deployed clients'.
    private static let uploadAnswerLimit = 3600

    // MARK: SHADIR

    /// - Throws: `CacheFailure.missing` when nothing was ever listed there.
    func listing(of key: Key, trusting certificates: TrustedCertificates) throws -> Listing {
        try listing(of: key).verified(by: certificates)
    }

    func listing(of key: Key) throws -> UnverifiedListing {
        let directory = try configuration.requiredEndpoint(.download, .directory, for: use)
        let response = try answer(to: directory.request(.get, key.percentEncoded))
        return try UnverifiedListing(response.body, Provenance { response.head[$0] })
    }

    /// What the directory answers for a key, as it comes.
    ///
    /// - Parameter limit: in bytes: what is longer is `CacheFailure.malformed`.
    /// - Throws: `CacheFailure.missing` when nothing was ever listed there.
    public func list(of key: Key, limit: Int) throws -> [UInt8] {
        let directory = try configuration.requiredEndpoint(.download, .directory, for: use)
        let request = directory.request(.get, key.percentEncoded)
        var list: [UInt8] = []
        try answer(
            to: request, retry: settings.retry, hasProgressed: { false },
            send: { request in
                list = []
                return try self.session.send(request) { _, bytes in
                    guard list.count + bytes.count <= limit else {
                        throw CacheFailure.malformed("\(Self.shown(request)): the list has more than \(limit) bytes")
                    }
                    list += bytes
                }
            })
        return list
    }

    /// Adds an entry. The same one again changes nothing.
    func put(_ entry: Entry, under key: Key) throws {
        let directory = try configuration.requiredEndpoint(.upload, .directory, for: use)
        var request = directory.request(.put, key.percentEncoded)
        request.body = RequestBody(entry.body)
        request.headers = [("Content-Type", "application/json")]
        request.timeouts.answer = Self.uploadAnswerLimit
        _ = try answer(to: request)
    }

    /// Hides this machine's account's entries under a key; for an operator, everybody's.
    ///
    /// - Parameters:
    ///   - digest: only entries that name this blob; nil means all of the key.
    ///   - pair: only the entry with this `Entry.digest`, in hex.
    /// - Throws: `CacheFailure.missing` when there is nothing to hide, `refused` without the right to.
    public func withdraw(_ key: Key, naming digest: Digest?, pair: String?, reason: String) throws {
        let directory = try configuration.requiredEndpoint(.upload, .directory, for: use)
        let blob = digest.map { "sha512=\($0)&" } ?? ""
        let entry = pair.map { "entry=\($0)&" } ?? ""
        try withdraw("\(key.percentEncoded)?\(blob)\(entry)reason=\(percentEncoded(reason))", from: directory)
    }

    private func withdraw(_ target: String, from endpoint: Endpoint) throws {
        _ = try answer(to: endpoint.request(.delete, target))
    }

    // MARK: SHACACHE

    /// Hides a blob that this machine's account alone has uploaded; for an operator, any.
    ///
    /// - Throws: as for a key.
    public func withdraw(_ digest: Digest, reason: String) throws {
        let cache = try configuration.requiredEndpoint(.upload, .cache, for: use)
        try withdraw("\(digest)?reason=\(percentEncoded(reason))", from: cache)
    }

    /// A stored blob, by the headers of a HEAD request.
    public struct BlobStatus: Sendable {
        /// In bytes; nil without the header.
        public let size: Int?
        /// When it was stored, in seconds since 1970; nil without the header.
        public let modified: Int?
    }

    /// - Returns: nil when the blob isn't there.
    public func status(of digest: Digest) throws -> BlobStatus? {
        let cache = try configuration.requiredEndpoint(.download, .cache, for: use)
        do {
            let response = try head(cache.request(.head, digest.description))
            return BlobStatus(size: response.contentLength, modified: response.date("last-modified"))
        } catch CacheFailure.missing {
            return nil
        }
    }

    /// Whether a blob needn't be sent. False where only uploading is configured.
    func holds(_ digest: Digest) throws -> Bool {
        guard reads(.cache) else { return false }
        return try status(of: digest) != nil
    }

    /// Servers that know no HEAD are asked with a GET whose answer isn't read, as the deployed clients ask.
    private func head(_ request: HTTPRequest) throws -> Head {
        do {
            return try answer(to: request).head
        } catch CacheFailure.refused {
            struct Seen: Error { let head: Head }
            do {
                return try answer(to: HTTPRequest(.get, like: request)) { head, _ in throw Seen(head: head) }.head
            } catch let seen as Seen {
                note(HTTPRequest(.get, like: request), seen.head.status)
                return seen.head
            }
        }
    }

    /// Sends a blob; returns the name that the server gives it.
    ///
    /// - Parameter isTrial: whether failing is cheap, since there is another way: it isn't tried again then.
    func post(_ body: RequestBody, isTrial: Bool = false) throws -> Digest {
        let cache = try configuration.requiredEndpoint(.upload, .cache, for: use)
        var request = cache.request(.post)
        request.body = body
        request.headers = [("Content-Type", "application/octet-stream")]
        request.timeouts.answer = Self.uploadAnswerLimit
        let response = try answer(to: request, isTrial: isTrial)
        guard let digest = Digest(response.words) else {
            throw CacheFailure.malformed(
                "\(withoutCredentials(request.url)): answered \(response.status) without the blob's name")
        }
        return digest
    }

    /// Gets the bytes of a blob that aren't there yet; all of them, when the server sends all in spite of what it was
    /// asked for.
    ///
    /// - Parameter progress: is told the size of the whole blob, in bytes, where the server sends it; what it throws ends
    ///   the transfer.
    func get(_ digest: Digest, into incoming: HashingWriter, progress: @escaping (_ size: Int?) throws -> Void) throws {
        let cache = try configuration.requiredEndpoint(.download, .cache, for: use)
        let getting = cache.request(.get, digest.description)
        var sizeBefore = incoming.size
        try answer(
            to: getting, retry: settings.retry,
            hasProgressed: {
                defer { sizeBefore = incoming.size }
                return incoming.size > sizeBefore
            },
            send: { try self.sendOnce($0, into: incoming, progress: progress) })
    }

    /// Gets all bytes of a blob, hashing them as they come.
    ///
    /// - Parameters:
    ///   - file: empty.
    ///   - admit: is told the blob's size, in bytes, where the server sends it, with each piece that comes; what it throws
    ///     ends the transfer.
    /// - Throws: `CacheFailure.missing`; `.untrusted` when other bytes came.
    public func fetch(_ digest: Digest, into file: consuming Descriptor, admit: @escaping (Int) throws -> Void) throws {
        let incoming = try HashingWriter(SharedFile(file))
        try get(digest, into: incoming) { size in if let size { try admit(size) } }
        try incoming.finish(as: digest)
    }

    private func sendOnce(
        _ request: HTTPRequest, into incoming: HashingWriter, progress: @escaping (_ size: Int?) throws -> Void
    ) throws -> HTTPResponse {
        var isFirst = true
        return try session.getFile(request, from: incoming.size) { _, part, bytes in
            try incoming.take(bytes, at: isFirst ? part.start : incoming.size)
            isFirst = false
            try progress(part.size)
        }.response
    }

    // MARK: Requests

    /// - Parameter isTrial: whether failing is cheap, since there is another way: it isn't tried again then.
    func answer(to request: HTTPRequest, isTrial: Bool) throws -> HTTPResponse {
        let retry = isTrial ? Retry(limit: 0, reporter: settings.retry.reporter) : settings.retry
        return try answer(to: request, retry: retry, hasProgressed: { false }, send: { try session.send($0) })
    }

    private func answer(to request: HTTPRequest, receive: Transfer.Receiver? = nil) throws -> HTTPResponse {
        let response = try answer(
            to: request, retry: settings.retry, hasProgressed: { false },
            send: { try session.send($0, receive: receive) })
        guard response.status == 200 || ![.get, .head].contains(request.method) else {
            throw CacheFailure.malformed("\(Self.shown(request)): \(response.status), where only 200 is an answer")
        }
        return response
    }

    /// For messages, without a withdrawal's query, which the user typed. In a path, a question mark is escaped.
    private static func shown(_ request: HTTPRequest) -> String {
        "\(request.method.rawValue) \(withoutCredentials(request.url).prefix { $0 != "?" })"
    }

    private func note(_ request: HTTPRequest, _ status: Int) {
        settings.retry.reporter.note("\(Self.shown(request)): \(status)")
    }

    /// Sends a request until it is answered for good, and turns what isn't success into a failure.
    @discardableResult
    private func answer(
        to request: HTTPRequest, retry: Retry, hasProgressed: () -> Bool, send: (HTTPRequest) throws -> HTTPResponse
    ) throws -> HTTPResponse {
        var request = request
        // A server may take long to take something in.
        if request.body == nil { request.watch = SilenceWatch(limit: settings.timeout) }
        let retry = isGivenUp ? Retry(limit: 0, reporter: retry.reporter) : retry
        let response: HTTPResponse
        do {
            response = try retry(request.watch, hasProgressed: hasProgressed) {
                let response = try send(request)
                note(request, response.status)
                return response
            }
        } catch let failure as HTTPFailure {
            throw CacheFailure.of(failure)
        }
        let said = "\(Self.shown(request)): \(response.status) \(response.words)"
        switch response.status {
        case 200..<300: return response
        case 404: throw CacheFailure.missing(said)
        case _ where response.isWorthRetrying:
            isGivenUp = settings.retry.hasAlternative
            throw CacheFailure.troubled(said)
        default: throw CacheFailure.refused(said, status: response.status)
        }
    }
}

extension CacheFailure {
    fileprivate static func of(_ failure: HTTPFailure) -> any Error {
        switch failure.kind {
        case .misuse: UsageError(failure.description)
        case .notTheFile: CacheFailure.malformed(failure.description)
        case .unreachable, .interrupted, .malformed, .silent, .certificate, .redirect:
            CacheFailure.unreachable(failure.description)
        }
    }
}
