public import ShaCache
import Storage

/// One HTTP request as nginx hands it on. Texts are empty where the client sent nothing.
public struct Request: Sendable {
    public var method = "GET"
    /// As the client sent it, not normalised: bytes, which may be no UTF-8.
    public var target: [UInt8] = []
    /// What a virtual host's root stands for.
    public var mount = Mount.prefixes
    public var purpose = Purpose.request

    public var contentLength = ""
    public var transferEncoding = ""
    /// The file in the spool that holds the body; empty when the body is.
    public var bodyFile = ""
    /// The body of a list or of a request for an account, which comes with the request.
    public var body: [UInt8] = []

    public var range = ""
    public var ifMatch = ""
    public var ifNoneMatch = ""
    public var ifRange = ""

    /// nginx's `$ssl_client_verify`: `SUCCESS`, `NONE`, `FAILED:` and why, or empty without TLS.
    public var certificateVerification = ""
    /// nginx's `$ssl_client_escaped_cert`.
    public var certificate: [UInt8] = []
    /// The operator lets this address write as the account `local`.
    public var isLocalWriter = false
    /// The operator lets this address ask for health and metrics.
    public var isMonitor = false

    public var clientAddress = ""
    /// Whether the operator limits how much this address may ask for.
    public var isLimited = false
    public var requestID = ""
    /// When its first byte came.
    public var start = ContinuousClock.now

    public init() {}

    /// Why nginx asks.
    public enum Purpose: String, Sendable {
        case request = ""
        /// Whether to receive the body of an upload at all.
        case admission
        /// Which of many blobs and keys are there.
        case existence
        case feed
        /// Somebody asks for an account, or what became of that.
        case accountRequest = "account_request"
        /// A health check, from an address that the operator allows; or the metrics, from any.
        case health
    }

    /// - Returns: nil when its path names nothing.
    func route() throws(Refusal) -> Route? {
        switch purpose {
        case .health: try Route.findHealth(target)
        case .existence: try Route.findExistence(target, below: mount)
        case .feed: try Route.findFeed(target)
        case .accountRequest: try Route.findAccountRequest(target)
        case .request, .admission: try Route.find(target, below: mount)
        }
    }

    /// The value of `name` in the target's query, its percent escapes decoded; nil when it has none.
    func query(_ name: String) throws(Refusal) -> String? {
        let query = target.drop { $0 != UInt8(ascii: "?") }.dropFirst()
        let prefix = "\(name)=".utf8
        guard let member = query.split(separator: UInt8(ascii: "&")).first(where: { $0.starts(with: prefix) }) else {
            return nil
        }
        guard let bytes = percentDecoded(Array(member.dropFirst(prefix.count))),
            let text = String(validating: bytes, as: UTF8.self)
        else { throw .malformedRequest("the query's \(name) is not percent-encoded UTF-8") }
        return text
    }
}

/// A method of HTTP that something here allows, in the order in which the header Allow lists them.
enum RequestMethod: String, CaseIterable {
    case get = "GET"
    case head = "HEAD"
    case post = "POST"
    case put = "PUT"
    case delete = "DELETE"
    case options = "OPTIONS"
}

/// What a request asks for: its method and its route, looked at once.
enum Operation {
    case downloadBlob(Digest)
    case listEntries(Key)
    case upload(Upload)
    case withdraw(Withdrawn)
    /// - Parameter prefix: of the paths by which a GET would ask for the same.
    case findExisting(prefix: [UInt8])
    case listMethods
    case checkLiveness
    case checkReadiness(uploads: Bool)
    case showMetrics
    case readFeed
    case requestAccount
    /// - Parameter key: the SHA-256 of the public key.
    case checkAccountRequest(key: [UInt8])

    enum Upload {
        /// - Parameter expected: the name that the request gives it.
        case blob(expected: Digest?)
        case entry(Key)
    }

    /// What is withdrawn.
    enum Withdrawn {
        case blob(Digest)
        /// All of a key's entries, or those that the request's query chooses.
        case entries(Key)
    }

    /// - Returns: nil when that method isn't possible there.
    init?(_ method: RequestMethod, _ route: Route) {
        switch (method, route) {
        case (.get, .blob(let digest)), (.head, .blob(let digest)): self = .downloadBlob(digest)
        case (.get, .entries(let key)), (.head, .entries(let key)): self = .listEntries(key)
        case (.post, .blobs): self = .upload(.blob(expected: nil))
        case (.put, .blob(let digest)): self = .upload(.blob(expected: digest))
        case (.put, .entries(let key)): self = .upload(.entry(key))
        case (.delete, .blob(let digest)): self = .withdraw(.blob(digest))
        case (.delete, .entries(let key)): self = .withdraw(.entries(key))
        case (.post, .existence(let prefix)): self = .findExisting(prefix: prefix)
        case (.options, .blobs), (.options, .blob), (.options, .entries), (.options, .existence): self = .listMethods
        case (.get, .live), (.head, .live): self = .checkLiveness
        case (.get, .ready(let uploads)), (.head, .ready(let uploads)): self = .checkReadiness(uploads: uploads)
        case (.get, .metrics), (.head, .metrics): self = .showMetrics
        case (.get, .feed), (.head, .feed): self = .readFeed
        case (.post, .accountRequests): self = .requestAccount
        case (.get, .accountRequest(let key)), (.head, .accountRequest(let key)): self = .checkAccountRequest(key: key)
        default: return nil
        }
    }
}

extension Route {
    /// For the header Allow.
    var allowedMethods: String {
        RequestMethod.allCases.filter { Operation($0, self) != nil }.map(\.rawValue).joined(separator: ", ")
    }
}

/// What the client gets to see.
public struct Response: Sendable {
    public var status: Status
    public var headers: [(name: String, value: String)]
    public var body: ResponseBody
    /// What follows the status in place of its usual words.
    private var phrase: String?

    init(_ status: Status, headers: [(name: String, value: String)] = [], body: ResponseBody = .bytes([])) {
        self.status = status
        self.headers = headers
        self.body = body
    }

    /// One readable line.
    init(_ status: Status, line: String, headers: [(name: String, value: String)] = []) {
        self.init(
            status,
            headers: [("Content-Type", "text/plain; charset=utf-8"), ("Cache-Control", "no-store")] + headers,
            body: .bytes(Array("\(line)\n".utf8)))
    }

    /// The same for nginx's auth_request, which understands 403 alone: it turns status and line into the real answer.
    var verdict: Response {
        let line = String(decoding: bytes.dropLast(), as: UTF8.self)
        let kept = headers.filter { $0.name == "Allow" }
        return Response(
            .forbidden, headers: [("X-Refusal-Status", "\(status.rawValue)"), ("X-Refusal", line)] + kept)
    }

    /// Says a line behind the status, too: of an answer that isn't 2xx, the log of a deployed client has no more than
    /// that.
    mutating func say(_ line: String) {
        // Other characters in a header break some clients, and an operator's reason may be in any language.
        let bytes = line.utf8.map { (0x20...0x7E).contains($0) ? $0 : UInt8(ascii: "?") }
        phrase = String(decoding: bytes.prefix(300), as: UTF8.self)
    }

    public func header(_ name: String) -> String? { headers.first { $0.name == name }?.value }
}

/// The file of a blob, and how nginx is to send it.
public struct BlobFile: Sendable {
    let digest: Digest
    let delivery: BlobDelivery

    /// Below the directory of blobs.
    public var path: String { LocalBlobs.place(of: digest) }
}

extension Response {
    /// What is sent through nginx: the status line's text.
    public var statusLine: String { "\(status.rawValue) \(phrase ?? status.reasonPhrase)" }

    /// What is sent through nginx: every header, with those that describe the body.
    public var allHeaders: [(name: String, value: String)] {
        switch body {
        case .file(let file): headers + [("X-Accel-Redirect", file.delivery.location(of: file.path))]
        case .fetched(let route): headers + [("X-Accel-Redirect", route.path)]
        case .bytes where status == .noContent || status == .notModified: headers
        // nginx would send a body of unknown length in chunks, where a client can't tell how much is missing.
        case .bytes(let bytes): headers + [("Content-Length", "\(bytes.count)")]
        }
    }

    /// What is sent through nginx: the body, where nginx doesn't take it from a file.
    public var bytes: [UInt8] {
        switch body {
        case .bytes(let bytes): bytes
        case .file, .fetched: []
        }
    }
}

public enum ResponseBody: Sendable {
    case bytes([UInt8])
    /// nginx sends it, with its length and the ranges that are asked for.
    case file(BlobFile)
    /// The fetcher gets it from an upstream.
    case fetched(FetchRoute)
}
