import ShaCache
public import Storage
import TOMLKit

/// A table `[[upstream]]`: another cache, from which this one fetches what it lacks.
public struct Upstream: Decodable, Sendable {
    /// Of its own: what was fetched bears it.
    public let name: String
    /// The URL to which a slash and a blob's name are added.
    public let shacache: String
    /// The URL to which a slash and a key are added.
    public let shadir: String
    /// The URL of its feed.
    public let feed: String
    /// Files in PEM; nil: what the system trusts, and no certificate.
    public let authorityFile: String?
    public let certificateFile: String?
    public let keyFile: String?
    /// Hosts, beside those of its URLs, to which it may redirect.
    public let redirectHosts: [String]
    /// In seconds, up to the end of an answer's headers.
    public let headerTimeout: Int
    /// In seconds, in which nothing comes of an answer that has begun.
    public let stallTimeout: Int
    /// In bytes, of one blob.
    public let sizeLimit: Int
    /// In bytes a second, of all that comes from there; nil: as fast as it comes.
    public let bandwidth: Int?

    private enum CodingKeys: String, CodingKey {
        case name, shacache, shadir, feed, certificate, key, limit, bandwidth
        case authorityFile = "ca-file"
        case redirectHosts = "redirect-hosts"
        case headerTimeout = "header-timeout"
        case stallTimeout = "stall-timeout"
    }

    public init(from decoder: any Decoder) throws {
        let options = try decoder.options(CodingKeys.self)
        name = try options.tableName(.name)
        shacache = try options.requiredURL(.shacache)
        shadir = try options.requiredURL(.shadir)
        feed = try options.url(.feed) ?? Self.feed(beside: shacache)
        authorityFile = try options.text(.authorityFile)
        certificateFile = try options.text(.certificate)
        keyFile = try options.text(.key)
        guard keyFile == nil || certificateFile != nil else {
            throw options.wrong(.key, "goes with certificate")
        }
        redirectHosts = try options.hosts(.redirectHosts) ?? []
        headerTimeout = try options.period(.headerTimeout, atMost: Self.longestHeaderTimeout)?.seconds ?? 5
        stallTimeout = try options.period(.stallTimeout)?.seconds ?? 30
        sizeLimit = try options.bytes(.limit, atLeast: 1 << 10) ?? 100 << 30
        bandwidth = try options.bytes(.bandwidth, atLeast: 1 << 10)
    }

    /// In seconds. nginx waits for little more, and so do the deployed clients.
    private static let longestHeaderTimeout = 50

    /// Where a ShaCache server has it.
    private static func feed(beside url: String) -> String {
        url.prefixMatch(of: /https?:\/\/[^\/]+/).map { "\($0.0)/-/feed" } ?? url
    }
}

extension Configuration {
    /// The section `[fetching]`: of what is fetched from upstreams.
    public struct Fetching: Decodable, Sendable {
        /// How many clients are sent a blob at once while it is being fetched.
        public let clients: Int
        /// How long what an upstream said of a key is used.
        public let keyAges: FetchedKeys.Limits
        /// How many bytes of blobs are kept that were fetched, and that nobody uploaded; nil: all.
        public let bytesLimit: Int?
        /// The path of the socket that shacache-fetcher listens on.
        public let socket: String

        private enum CodingKeys: String, CodingKey {
            case clients, fresh, stale, socket
            case bytesLimit = "bytes"
        }

        public init(from decoder: any Decoder) throws {
            let options = try decoder.options(CodingKeys.self)
            clients = try options.count(.clients, atMost: Self.mostClients) ?? 256
            let fresh = try options.period(.fresh)?.seconds ?? 60
            let stale = try options.period(.stale)?.seconds ?? 3600
            guard fresh <= stale else {
                throw options.wrong(
                    options.contains(.stale) ? .stale : .fresh,
                    "stale (\(stale) seconds) must not be shorter than fresh (\(fresh) seconds)")
            }
            keyAges = FetchedKeys.Limits(fresh: fresh, stale: stale)
            bytesLimit = try options.bytes(.bytesLimit, atLeast: 1 << 20)
            socket = try options.text(.socket) ?? "/run/shacache/fetch.sock"
        }

        /// Each has a thread. The unit's TasksMax has room for them.
        private static let mostClients = 1000
    }

    /// Names tell upstreams apart, in the database too.
    func checkUpstreams(_ lines: OptionLines) throws(ConfigurationError) {
        for (number, upstream) in upstreams.enumerated()
        where upstreams[..<number].contains(where: { $0.name == upstream.name }) {
            let places = lines.tables("upstream")
            let place = places.indices.contains(number) ? "line \(places[number]): " : ""
            throw ConfigurationError(
                description: "\(place)the upstream \(upstream.name): there is another one of that name before it")
        }
    }
}

extension KeyedDecodingContainer {
    fileprivate func requiredURL(_ key: Key) throws -> String {
        guard let url = try url(key) else {
            throw DecodingError.keyNotFound(key, DecodingError.Context(codingPath: codingPath, debugDescription: ""))
        }
        return url
    }
}
