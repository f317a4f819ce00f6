import ShaCache

/// The methods that the client uses, as they are sent.
public enum HTTPMethod: String, Sendable {
    case get = "GET"
    case head = "HEAD"
    case post = "POST"
    case put = "PUT"
    case delete = "DELETE"
}

/// One HTTP request.
public struct HTTPRequest {
    public let method: HTTPMethod
    /// `http` or `https`; credentials in it become basic authentication.
    public let url: String
    public var headers: [(name: String, value: String)] = []
    public var body: RequestBody?
    public var identity = Identity()
    public var timeouts = Timeouts()
    /// Replaces `timeouts`, over several requests: retries share one budget.
    public var watch: SilenceWatch?
    /// How many redirects are followed; to HTTP and HTTPS only.
    public var redirectLimit = 0
    /// Whether they may lead from an `https` URL to `http`. From an `http` one they may: there, an
    /// attacker on the path can change all that follows anyway.
    public var allowsInsecureRedirects = false
    /// How many bytes of a body that goes to no receiver are taken: the connection of a longer one is ended. nil: 64 MiB
    /// are kept, and the others thrown away.
    public var bodyLimit: Int?
    /// How much is received at once, in bytes.
    public var bufferSize = 512 << 10

    public init(_ method: HTTPMethod, _ url: String) {
        self.method = method
        self.url = url
    }

    /// The schemes that redirects may lead to, as libcurl wants them.
    var redirectSchemes: String {
        isSecure && !allowsInsecureRedirects ? "https" : "http,https"
    }

    public var isSecure: Bool { url.lowercased().hasPrefix("https:") }

    /// For messages: without a password.
    var shownURL: String { withoutCredentials(url) }

    /// The same request with another method.
    public init(_ method: HTTPMethod, like other: HTTPRequest) {
        self.init(method, at: other.url, like: other)
    }

    /// The same request at another place.
    public init(_ other: HTTPRequest, at url: String) { self.init(other.method, at: url, like: other) }

    private init(_ method: HTTPMethod, at url: String, like other: HTTPRequest) {
        self.init(method, url)
        headers = other.headers
        body = other.body
        identity = other.identity
        timeouts = other.timeouts
        watch = other.watch
        redirectLimit = other.redirectLimit
        allowsInsecureRedirects = other.allowsInsecureRedirects
        bodyLimit = other.bodyLimit
        bufferSize = other.bufferSize
    }
}

/// What a request sends along.
public struct RequestBody {
    /// In bytes; nil sends it in chunks, until `read` returns 0.
    public let count: Int?
    /// Copies bytes from an offset on into the buffer, and returns how many. It may wait for bytes to come; 0 is the
    /// end. Called again with an offset from before when the bytes must be sent once more.
    public let read: (_ offset: Int, _ into: UnsafeMutableRawBufferPointer) throws -> Int

    public init(count: Int?, read: @escaping (_ offset: Int, _ into: UnsafeMutableRawBufferPointer) throws -> Int) {
        self.count = count
        self.read = read
    }

    public init(_ bytes: [UInt8]) {
        self.init(count: bytes.count) { offset, buffer in
            let piece = bytes[offset...].prefix(buffer.count)
            buffer.copyBytes(from: piece)
            return piece.count
        }
    }
}

/// The client's certificate, and the authorities that it trusts: paths of files in PEM.
public struct Identity: Hashable, Sendable {
    /// nil trusts what the system trusts.
    public var authorityFile: String?
    public var certificateFile: String?
    public var keyFile: String?

    public init(authorityFile: String? = nil, certificateFile: String? = nil, keyFile: String? = nil) {
        self.authorityFile = authorityFile
        self.certificateFile = certificateFile
        self.keyFile = keyFile
    }
}

/// A request's timeouts, in seconds.
public struct Timeouts: Sendable {
    public var connect = 30
    /// Between two bytes in either direction.
    public var stall = 60
    /// In bytes, how much has to come of an answer's body in that time; 0: one byte.
    public var leastBytes = 0
    /// From the request's last byte to the end of the answer's headers.
    public var answer: Int
    /// From there to the first byte of its body; nil: as between two bytes.
    public var firstByte: Int?

    public init(answer: Int = 60) { self.answer = answer }
}

/// A stall timeout over all the retries and backoff pauses of one piece of work: how long a server sends nothing, or
/// hardly anything.
/// Belongs to one thread.
public final class SilenceWatch {
    /// In seconds.
    public let limit: Int
    private var since = ContinuousClock.now
    /// In bytes, since then.
    private var count = 0

    /// What is slower over the whole limit, in bytes a second, counts as a stall: otherwise a server that sends a
    /// byte now and then would be waited for without end.
    private static let leastRate = 1000

    public init(limit: Int) { self.limit = limit }

    public func restart() { (since, count) = (.now, 0) }

    func hear(_ bytes: Int) {
        count += bytes
        if count >= limit * Self.leastRate { restart() }
    }

    /// In seconds.
    public var remaining: Double { Double(limit) - since.duration(to: .now) / .seconds(1) }

    var isOver: Bool { remaining <= 0 }

    /// For messages.
    var words: String { count == 0 ? "no answer for \(limit) s" : "sent \(count) bytes in \(limit) s" }

    /// Shorter than the limit, so that a host whose first address is dead is asked at its next one.
    var connectLimit: Int { max(2, limit * 2 / 3) }
}
