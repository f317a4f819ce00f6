/// One request for a page as nginx hands it on. Texts are empty where the client sent nothing.
public struct PageRequest: Sendable {
    /// As the client sent it, not normalised.
    public var target: [UInt8] = []
    public var host = ""
    public var isSecure = false
    /// nginx's `$ssl_client_verify`: `SUCCESS`, `NONE`, `FAILED:` and why, or empty without TLS.
    public var certificateVerification = ""
    /// nginx's `$ssl_client_escaped_cert`.
    public var certificate: [UInt8] = []
    public var requestID = ""

    public init() {}
}
