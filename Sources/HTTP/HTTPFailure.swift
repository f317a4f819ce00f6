import CCurl

/// Why there is no answer, or no whole one.
public struct HTTPFailure: Error, CustomStringConvertible {
    public enum Kind: Sendable {
        /// No connection came about.
        case unreachable
        /// The connection broke, or stalled, before the answer was whole.
        case interrupted
        /// All of the time is over that was to be waited for a server from which nothing comes.
        case silent
        /// A status of success, and not what was asked for.
        case notTheFile
        /// A redirect leads where no redirect is followed to.
        case redirect
        /// The other side's certificate, or ours, was not accepted.
        case certificate
        /// Never worth another try: a URL that is none, a certificate file that can't be read.
        case misuse
    }

    public let kind: Kind
    public let description: String

    init(_ kind: Kind, _ description: String) {
        self.kind = kind
        self.description = description
    }

    init(_ code: CURLcode, _ words: String, url: String) {
        // A proxy's URL that libcurl can't read is quoted, and needs no scheme by which a URL is known.
        let words = words.replacing(/'.*@/, with: "'")
        let reason = words.isEmpty ? String(cString: curl_easy_strerror(code)) : words
        self.init(Self.kind(of: code), "\(url): \(reason)")
    }

    private static func kind(of code: CURLcode) -> Kind {
        switch code {
        case CURLE_COULDNT_RESOLVE_HOST, CURLE_COULDNT_RESOLVE_PROXY, CURLE_COULDNT_CONNECT, CURLE_PROXY,
            CURLE_SSL_CONNECT_ERROR:
            .unreachable
        case CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_ISSUER_ERROR: .certificate
        case CURLE_URL_MALFORMAT, CURLE_UNSUPPORTED_PROTOCOL, CURLE_SSL_CERTPROBLEM, CURLE_SSL_CACERT_BADFILE,
            CURLE_OUT_OF_MEMORY, CURLE_TOO_MANY_REDIRECTS:
            .misuse
        default: .interrupted
        }
    }
}
