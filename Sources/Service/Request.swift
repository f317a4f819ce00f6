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
