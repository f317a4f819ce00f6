import CCurl
import System

/// Sends requests one after the other, and keeps connections open between them. Belongs to one thread at a time.
///
/// Proxies are those of the environment (`http_proxy`, `https_proxy`, `no_proxy`), as everywhere.
public final class HTTPSession {
    private let handle: UnsafeMutableRawPointer  // CURL *
    private let agent: String
    private let usesProxies: Bool

    /// Once for the process, before the first handle: it isn't safe in several threads.
    private static let library: CURLcode = curl_global_init(Int(CURL_GLOBAL_DEFAULT))

    /// - Parameters:
    ///   - agent: the User-Agent.
    ///   - usesProxies: otherwise those of the environment count for nothing.
    public init(agent: String, usesProxies: Bool = true) {
        precondition(Self.library == CURLE_OK)
        // Null only when out of memory, which Swift itself doesn't survive either.
        handle = curl_easy_init()!
        self.agent = agent
        self.usesProxies = usesProxies
    }

    deinit { curl_easy_cleanup(handle) }

    /// Gets what a request is answered with, an error status too.
    ///
    /// - Parameter receive: called with the bytes of a successful answer, a piece at a time, instead of collecting
    ///   them. What it throws ends the request and comes out here.
    /// - Throws: `HTTPFailure`, or what `receive` or the body's `read` threw.
    public func send(_ request: HTTPRequest, receive: Transfer.Receiver? = nil) throws -> HTTPResponse {
        // Takes back all options, and keeps the connections.
        curl_easy_reset(handle)
        let transfer = Transfer(request, receive: receive)
        var headers: UnsafeMutablePointer<curl_slist>?
        for header in request.headers { headers = curl_slist_append(headers, "\(header.name): \(header.value)") }
        // A large body waits for the server's consent. A small one is sent as soon as it could be asked for.
        if let count = request.body?.count, count < 1 << 20 { headers = curl_slist_append(headers, "Expect:") }
        defer { curl_slist_free_all(headers) }
        curl_set_pointer(handle, CURLOPT_HTTPHEADER, headers)
        apply(request)
        apply(request.identity)
        return try withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(CURL_ERROR_SIZE)) { words in
            words.initialize(repeating: 0)
            curl_set_pointer(handle, CURLOPT_ERRORBUFFER, words.baseAddress)
            let code = transfer.connect(to: handle) {
                let code = curl_easy_perform(handle)
                // It may have failed for what is left on the connection of another request.
                guard code != CURLE_OK, transfer.mayBeSentAnew, wasSent, isOfReusedConnection else { return code }
                curl_set_number(handle, CURLOPT_FRESH_CONNECT, 1)
                return curl_easy_perform(handle)
            }
            return try transfer.response(
                code, words: String(cString: words.baseAddress!), redirection: redirection, wasSent: wasSent)
        }
    }

    private var wasSent: Bool { number(CURLINFO_REQUEST_SIZE) > 0 }

    private var isOfReusedConnection: Bool { number(CURLINFO_NUM_CONNECTS) == 0 }

    private func number(_ info: CURLINFO) -> Int {
        var number = 0
        return curl_get_number(handle, info, &number) == CURLE_OK ? number : 0
    }

    private var redirection: String? {
        var url: UnsafePointer<CChar>?  // libcurl's
        guard curl_get_text(handle, CURLINFO_REDIRECT_URL, &url) == CURLE_OK else { return nil }
        return url.map { String(cString: $0) }
    }

    private func apply(_ request: HTTPRequest) {
        curl_set_text(handle, CURLOPT_URL, request.url)
        curl_set_text(handle, CURLOPT_USERAGENT, agent)
        if !usesProxies { curl_set_text(handle, CURLOPT_NOPROXY, "*") }
        // Keys hold `..` and `//`, which mean themselves.
        curl_set_number(handle, CURLOPT_PATH_AS_IS, 1)
        curl_set_text(handle, CURLOPT_PROTOCOLS_STR, "http,https")
        curl_set_text(handle, CURLOPT_REDIR_PROTOCOLS_STR, request.redirectSchemes)
        curl_set_number(handle, CURLOPT_FOLLOWLOCATION, request.redirectLimit > 0 ? 1 : 0)
        curl_set_number(handle, CURLOPT_MAXREDIRS, request.redirectLimit)
        let connectLimit = request.watch.map { min($0.connectLimit, request.timeouts.connect) }
        curl_set_number(handle, CURLOPT_CONNECTTIMEOUT, connectLimit ?? request.timeouts.connect)
        // A name server that is silent isn't waited for either.
        curl_set_number(handle, CURLOPT_QUICK_EXIT, 1)
        curl_set_number(handle, CURLOPT_TCP_KEEPALIVE, 1)
        // What a proxy answers to CONNECT is no answer.
        curl_set_number(handle, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1)
        // Otherwise a name that is looked up may end the process by a signal, with several threads.
        curl_set_number(handle, CURLOPT_NOSIGNAL, 1)
        curl_set_number(handle, CURLOPT_BUFFERSIZE, request.bufferSize)
        curl_set_number(handle, CURLOPT_UPLOAD_BUFFERSIZE, 1 << 20)
        // HTTP/2's flow control makes uploads slower, and one at a time has nothing to gain from it.
        let version = request.body == nil ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1
        curl_set_number(handle, CURLOPT_HTTP_VERSION, Int(version))
        apply(request.method, sending: request.body)
    }

    private func apply(_ method: HTTPMethod, sending body: RequestBody?) {
        switch method {
        case .get: curl_set_number(handle, CURLOPT_HTTPGET, 1)
        case .head: curl_set_number(handle, CURLOPT_NOBODY, 1)
        case .delete: curl_set_text(handle, CURLOPT_CUSTOMREQUEST, method.rawValue)
        case .post, .put:
            curl_set_number(handle, CURLOPT_UPLOAD, 1)
            curl_set_text(handle, CURLOPT_CUSTOMREQUEST, method.rawValue)
            curl_set_size(handle, CURLOPT_INFILESIZE_LARGE, body?.count ?? -1)
        }
    }

    private func apply(_ identity: Identity) {
        if let file = identity.authorityFile { set(CURLOPT_CAINFO, file: file) }
        guard let certificate = identity.certificateFile else { return }
        set(CURLOPT_SSLCERT, file: certificate)
        if let key = identity.keyFile { set(CURLOPT_SSLKEY, file: key) }
        // Otherwise an encrypted key would be asked for on the terminal.
        curl_set_text(handle, CURLOPT_KEYPASSWD, "")
    }

    private func set(_ option: CURLoption, file: String) {
        _ = file.withFileName { curl_set_text(handle, option, $0) }
    }
}
