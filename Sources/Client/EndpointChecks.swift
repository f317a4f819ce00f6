import Glibc
import HTTP
import OpenSSL
import ShaCache

/// The doctor's questions to the servers of one use.
///
/// They are asked one by one and raw, not through `Cache`, which would work around what is to be found.
final class EndpointChecks {
    let configuration: NodeConfiguration
    let use: Use
    let tell: (Finding) -> Void
    /// Of a cache that is asked behind the download cache.
    private let isFallback: Bool
    private let timeout: Int
    private let silent: SilentServers
    private let session = HTTPSession(agent: "shacache doctor")
    /// The options whose URLs gave no answer, or a wrong one: what follows from that needn't be said too.
    private(set) var failed: Set<String> = []

    /// What is uploaded, and fetched in parts. Always the same bytes, so that it is stored once.
    static let probe = Array("shacache doctor was here, to see whether uploads and ranges work\n".utf8)
    static let probeDigest = Digest(bytes: Hash.digest(.sha512, of: probe))
    /// A name that no file has. Another one in each run: a near cache remembers what is nowhere, and asks nobody then.
    static let nobody = Digest(bytes: (0..<64).map { _ in UInt8.random(in: 0...255) })
    static let key = "shacache-doctor:probe"

    /// What a service may be asked for, whether it is there or not.
    static func name(for service: CacheService) -> String { service == .cache ? nobody.description : key }

    init(
        _ configuration: NodeConfiguration, _ use: Use, isFallback: Bool = false, timeout: Int, _ silent: SilentServers,
        tell: @escaping (Finding) -> Void
    ) {
        self.configuration = configuration
        self.use = use
        self.isFallback = isFallback
        self.timeout = timeout
        self.silent = silent
        self.tell = tell
    }

    func option(_ direction: Direction, _ service: CacheService) -> String {
        if isFallback { return NodeConfiguration.fallbackOption(service).rawValue }
        return NodeConfiguration.option(direction, service, for: use).rawValue
    }

    func ask(_ request: HTTPRequest, _ option: String) -> HTTPResponse? {
        let server = SilentServers.server(of: request)
        guard !silent.servers.contains(server) else {
            failed.insert(option)
            tell(.failure(option, "not asked: \(server) doesn't answer, as said above", mend: Self.mend(nil)))
            return nil
        }
        do {
            return try send(request)
        } catch {
            failed.insert(option)
            if case .silent? = (error as? HTTPFailure)?.kind { silent.servers.insert(server) }
            tell(.failure(option, "\(error)", mend: Self.mend(error)))
            return nil
        }
    }

    func send(_ request: HTTPRequest) throws -> HTTPResponse {
        var request = request
        if request.body == nil { request.watch = SilenceWatch(limit: timeout) }
        return try session.send(request)
    }

    private static func mend(_ error: (any Error)?) -> String {
        switch (error as? HTTPFailure)?.kind {
        case .certificate: "set the …-ca-file to the authority of the server's certificate"
        case .misuse:
            "check the URL, and that the …-ca-file, …-cert-file and …-key-file are there, readable and belong together"
        default: "check the URL, the network, the proxy, and whether the server runs"
        }
    }

    // MARK: Downloads

    func examineDownloads() {
        for service in CacheService.allCases {
            let option = option(.download, service)
            guard let endpoint = configuration.endpoint(.download, service, for: use) else {
                tell(
                    .warning(
                        option, "not set: nothing can be looked up or fetched", mend: "ask the cache's operator for it")
                )
                continue
            }
            examineScheme(endpoint, option)
            guard let response = ask(endpoint.request(.get, Self.name(for: service)), option) else { continue }
            examine(response, of: endpoint, option)
            examineClock(response, option)
            if service == .cache { examineUpstreams(response, option) }
        }
    }

    /// A near cache says with each miss where else it has looked.
    private func examineUpstreams(_ response: HTTPResponse, _ option: String) {
        guard let text = response.head[UpstreamList.headerName.lowercased()], let upstreams = UpstreamList(text) else {
            return
        }
        for upstream in upstreams.upstreams {
            let near = "it is a near cache, whose upstream \(upstream.name)"
            let words: String
            switch upstream.state {
            case .asked:
                tell(.good(option, "\(near) answers"))
                continue
            case .away: words = "doesn't answer"
            case .untrusted: words = "isn't trusted: a certificate is not accepted, the upstream's or the cache's own"
            }
            tell(
                .warning(
                    option, "\(near) \(words): what isn't there already can't be had from it",
                    mend: "tell the cache's operator; what is there goes on"))
        }
    }

    private func examineScheme(_ endpoint: Endpoint, _ option: String) {
        guard endpoint.url.hasPrefix("https:"), endpoint.identity.certificateFile == nil else { return }
        tell(
            .warning(
                option, "is https without a client certificate: the deployed Python clients fail with it",
                mend: "use the plain http URL: hash and signature prove what comes"))
    }

    func examine(_ response: HTTPResponse, of endpoint: Endpoint, _ option: String) {
        guard !(200..<300).contains(response.status), response.status != 404 else {
            return tell(.good(option, "\(endpoint.shownURL) answers"))
        }
        failed.insert(option)
        switch response.status {
        case 300..<400:
            tell(
                .failure(
                    option,
                    "\(endpoint.shownURL) redirects to \(response.head["location"] ?? "nowhere"): clients don't follow",
                    mend: "set the URL that it leads to"))
        case _ where isUnconfiguredProxy(response): tellUnconfiguredProxy(endpoint, option)
        default:
            tell(
                .failure(
                    option, "\(endpoint.shownURL) answers \(response.status) \(response.words)",
                    mend: "check the URL's path; if it is right, tell the cache's operator"))
        }
    }

    /// What slapproxy answers that has no directories for a cache.
    func isUnconfiguredProxy(_ response: HTTPResponse) -> Bool {
        response.status == 503 && response.words.contains("Shacache not configured")
    }

    func tellUnconfiguredProxy(_ endpoint: Endpoint, _ option: String) {
        tell(
            .failure(
                option, "\(endpoint.shownURL) is a slapproxy that isn't told where to keep a cache",
                mend:
                    "in the section [slapproxy] of its slapos.cfg set shacache_content_directory and shacache_metadata_directory, to directories that are there, and start it again; with dashes it ignores both"
            ))
    }

    private func examineClock(_ response: HTTPResponse, _ option: String) {
        guard let date = response.head.date("date") else { return }
        let difference = abs(date - time(nil))
        guard difference > 60 else { return }
        tell(
            .warning(
                option, "its clock and this machine's differ by \(difference) s",
                mend: "run an NTP client on both: certificates depend on it"))
    }

    // MARK: Ranges

    /// - Parameter isUploaded: whether the probe must be there.
    func examineRanges(isUploaded: Bool) {
        guard let endpoint = configuration.endpoint(.download, .cache, for: use) else { return }
        let option = option(.download, .cache)
        guard !failed.contains(option) else { return }
        var whole = endpoint.request(.get, Self.probeDigest.description)
        guard let response = try? send(whole), response.body == Self.probe else {
            guard isUploaded else { return tell(.good(option, "ranges: not tried, there is nothing to try them with")) }
            return tell(
                .failure(
                    option,
                    "\(endpoint.shownURL) hasn't got the file that the upload URL took: they are different caches",
                    mend: "check both URLs"))
        }
        whole.headers = [("Range", "bytes=9-")]
        guard let part = try? send(whole), part.status == 206, part.body == Array(Self.probe[9...]) else {
            return tell(
                .failure(
                    option, "doesn't send the rest of a file when asked for it: a cut download fails",
                    mend: "tell the cache's operator: GET with Range must answer 206, also behind proxies"))
        }
        examineResume(response, endpoint, option)
    }

    /// What the deployed clients need beside.
    private func examineResume(_ response: HTTPResponse, _ endpoint: Endpoint, _ option: String) {
        var missing = endpoint.request(.get, Self.nobody.description)
        missing.headers = [("Range", "bytes=9-")]
        let errorBody = (try? send(missing))?.body ?? []
        if !errorBody.isEmpty {
            tell(
                .failure(
                    option,
                    "answers errors with a body to a request for a part: the deployed clients take it for the file's",
                    mend: "tell the cache's operator"))
        } else if response.head["accept-ranges"] != "bytes" || response.head.contentLength == nil {
            tell(
                .warning(
                    option, "says no Accept-Ranges: bytes with a Content-Length: the deployed clients don't resume",
                    mend: "tell the cache's operator"))
        } else {
            tell(.good(option, "sends the rest of a file when asked for it"))
        }
    }
}

/// Which servers have been waited for already, in vain: most often all URLs lead to one.
final class SilentServers {
    fileprivate var servers: Set<String> = []

    /// Scheme, host and port.
    fileprivate static func server(of request: HTTPRequest) -> String {
        withoutCredentials(request.url).split(separator: "/", omittingEmptySubsequences: false).prefix(3)
            .joined(separator: "/")
    }
}
