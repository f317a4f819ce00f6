public import ShaCache

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
    /// The body of a list, which comes with the request.
    public var list: [UInt8] = []

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
        /// A health check, from an address that the operator allows; or the metrics, from any.
        case health
    }

    /// - Returns: nil when its path names nothing.
    func route() throws(Refusal) -> Route? {
        switch purpose {
        case .health: try Route.findHealth(target)
        case .existence: try Route.findExistence(target, below: mount)
        case .request, .admission: try Route.find(target, below: mount)
        }
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
