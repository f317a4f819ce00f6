import ShaCache

/// One HTTP request.
public struct HTTPRequest {
    public enum Method: String, Sendable {
        case get = "GET"
        case head = "HEAD"
        case post = "POST"
        case put = "PUT"
        case delete = "DELETE"
    }

    public let method: Method
    /// `http` or `https`; credentials in it become basic authentication.
    public let url: String
    public var headers: [(name: String, value: String)] = []
    public var body: Body?
    public var identity = Identity()
    public var patience = Patience()
    /// Counts instead of `patience` for what others may have to say, too.
    public var watch: SilenceWatch?
    /// How many redirects are followed; to HTTP and HTTPS only.
    public var redirectLimit = 0
    /// Whether they may lead from an `https` URL to `http`. From an `http` one they may: whoever is on the way there
    /// can change all that follows anyway.
    public var allowsInsecureRedirects = false

    public init(_ method: Method, _ url: String) {
        self.method = method
        self.url = url
    }

    /// The schemes that redirects may lead to, as libcurl wants them.
    var redirectSchemes: String {
        isSecure && !allowsInsecureRedirects ? "https" : "http,https"
    }

    public var isSecure: Bool { url.lowercased().hasPrefix("https:") }

    /// For messages: without the password that may stand in it.
    var shownURL: String { withoutCredentials(url) }

    /// The same request with another method.
    public init(_ method: Method, like other: HTTPRequest) {
        self.init(method, other.url)
        headers = other.headers
        body = other.body
        identity = other.identity
        patience = other.patience
        watch = other.watch
        redirectLimit = other.redirectLimit
        allowsInsecureRedirects = other.allowsInsecureRedirects
    }
}

/// What a request sends along.
public struct Body {
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

/// Who asks, and whom it trusts: paths of files in PEM.
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

/// How long a request waits, in seconds.
public struct Patience: Sendable {
    public var connect = 30
    /// Between two bytes in either direction.
    public var stall = 60
    /// From the request's last byte to the answer's first.
    public var answer: Int

    public init(answer: Int = 60) { self.answer = answer }
}
