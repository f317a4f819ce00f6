import CCurl
import ShaCache

/// What a server answered.
public struct HTTPResponse: Sendable {
    public let head: Head
    /// Of a body that went to no receiver, the first 64 MiB at most.
    public let body: [UInt8]
    /// Where it redirects to, if that wasn't followed: a whole URL.
    public let redirection: String?

    init(head: Head, body: [UInt8], redirection: String? = nil) {
        (self.head, self.body, self.redirection) = (head, body, redirection)
    }

    public var status: Int { head.status }

    /// The body as one line, for messages.
    public var words: String {
        let text = withoutCredentials(in: String(decoding: body.prefix(5000), as: UTF8.self))
        return String(text.split(whereSeparator: \.isWhitespace).joined(separator: " ").prefix(500))
    }
}

/// Status and headers.
public struct Head: Sendable {
    public let status: Int
    private let version: Substring
    private let headers: [String: String]

    /// - Parameter version: `HTTP/1.1` and the like.
    init(status: Int, version: Substring = "HTTP/1.1", headers: [String: String]) {
        self.status = status
        self.version = version
        self.headers = headers
    }

    /// Whether nothing but the connection's end is the body's, so that one that breaks looks the same.
    public var endsWithConnection: Bool {
        version.hasPrefix("HTTP/1.") && self["content-length"] == nil && self["transfer-encoding"] == nil
    }

    /// - Parameter name: in lower case.
    public subscript(name: String) -> String? { headers[name] }

    /// A date, in seconds since 1970.
    public func date(_ name: String) -> Int? {
        guard let text = self[name] else { return nil }
        let seconds = curl_getdate(text, nil)
        return seconds < 0 ? nil : seconds
    }

    public var isSuccess: Bool { (200..<300).contains(status) }

    /// In bytes; nil without the header.
    public var contentLength: Int? { self["content-length"].flatMap { Int($0) }.flatMap { $0 >= 0 ? $0 : nil } }
}

/// Why there is no response, or no complete one.
public struct HTTPFailure: Error, CustomStringConvertible {
    public enum Cause: Sendable {
        /// No connection came about.
        case unreachable
        /// The connection broke, or stalled, before the answer was whole.
        case interrupted
        /// The stall timeout: nothing came from the server for so long.
        case silent
        /// What came can't be read as an answer.
        case malformed
        /// A status of success, and not what was asked for.
        case notTheFile
        /// A redirect leads where no redirect is followed to.
        case redirect
        /// The other side's certificate, or ours, was not accepted.
        case certificate
        /// Not retryable: a malformed URL, a certificate file that can't be read.
        case misuse
    }

    public let kind: Cause
    public let description: String
    /// Whether status and headers of an answer had come.
    public internal(set) var isOfAnswer = false
    /// Whether the request was on its way: otherwise no connection had come about.
    public internal(set) var wasSent = false

    init(_ kind: Cause, _ description: String) {
        self.kind = kind
        self.description = description
    }

    init(_ code: CURLcode, _ words: String, url: String) {
        // A proxy's URL that libcurl can't read is quoted, and needs no scheme by which a URL is known.
        let words = words.replacing(/'.*@/, with: "'")
        let reason = words.isEmpty ? String(cString: curl_easy_strerror(code)) : words
        self.init(Self.kind(of: code, url: url), "\(url): \(reason)")
    }

    private static func kind(of code: CURLcode, url: String) -> Cause {
        switch code {
        case CURLE_COULDNT_RESOLVE_HOST, CURLE_COULDNT_RESOLVE_PROXY, CURLE_COULDNT_CONNECT, CURLE_PROXY,
            CURLE_SSL_CONNECT_ERROR:
            .unreachable
        case CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_ISSUER_ERROR: .certificate
        case CURLE_URL_MALFORMAT, CURLE_SSL_CERTPROBLEM, CURLE_SSL_CACERT_BADFILE, CURLE_TOO_MANY_REDIRECTS: .misuse
        // Of HTTP, it is an answer that begins with something else.
        case CURLE_UNSUPPORTED_PROTOCOL where !url.lowercased().hasPrefix("http"): .misuse
        case CURLE_GOT_NOTHING, CURLE_PARTIAL_FILE, CURLE_SEND_ERROR, CURLE_RECV_ERROR, CURLE_OPERATION_TIMEDOUT,
            CURLE_HTTP2, CURLE_HTTP2_STREAM:
            .interrupted
        // A header that is too long, too, is "out of memory".
        default: .malformed
        }
    }
}
