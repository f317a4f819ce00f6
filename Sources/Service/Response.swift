import ShaCache

/// What the client gets to see.
public struct Response: Sendable {
    public var status: Int
    public var headers: [(name: String, value: String)]
    public var body: [UInt8]
    /// What stands after the status in place of the usual words.
    private var phrase: String?

    init(_ status: Int, headers: [(name: String, value: String)] = [], body: [UInt8] = []) {
        self.status = status
        self.headers = headers
        self.body = body
    }

    /// One readable line.
    init(_ status: Int, line: String, headers: [(name: String, value: String)] = []) {
        self.init(
            status,
            headers: [("Content-Type", "text/plain; charset=utf-8"), ("Cache-Control", "no-store")] + headers,
            body: Array("\(line)\n".utf8))
    }

    /// The same for nginx's auth_request, which understands 403 alone: it turns status and line into the real answer.
    var verdict: Response {
        let line = String(decoding: body.dropLast(), as: UTF8.self)
        let kept = headers.filter { $0.name == "Allow" }
        return Response(403, headers: [("X-Refusal-Status", "\(status)"), ("X-Refusal", line)] + kept)
    }

    /// nginx would send a body of unknown length in chunks, which tells nobody how much is missing.
    mutating func declareLength() {
        guard status != 204, status != 304, header("X-Accel-Redirect") == nil else { return }
        headers.append(("Content-Length", "\(body.count)"))
    }

    /// Says a line behind the status, too: of an answer that isn't 2xx, the log of a deployed client has no more than that.
    mutating func say(_ line: String) {
        // What else could stand in a header's line, some client may not read: an operator's reason may be in any language.
        let bytes = line.utf8.map { (0x20...0x7E).contains($0) ? $0 : UInt8(ascii: "?") }
        phrase = String(decoding: bytes.prefix(300), as: UTF8.self)
    }

    /// What stands after the status in HTTP/1.
    public var reason: String { phrase ?? usualReason }

    private var usualReason: String {
        switch status {
        case 200: "OK"
        case 201: "Created"
        case 204: "No Content"
        case 304: "Not Modified"
        case 400: "Bad Request"
        case 403: "Forbidden"
        case 404: "Not Found"
        case 405: "Method Not Allowed"
        case 411: "Length Required"
        case 412: "Precondition Failed"
        case 413: "Content Too Large"
        case 503: "Service Unavailable"
        case 507: "Insufficient Storage"
        default: "Internal Server Error"
        }
    }

    public func header(_ name: String) -> String? { headers.first { $0.name == name }?.value }
}
