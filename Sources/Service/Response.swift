public import ShaCache
import Storage

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

    /// Says a line behind the status, too: of an answer that isn't 2xx, the log of a deployed client has no more than that.
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
    let way: Way

    /// The internal location of `server.conf` that nginx goes to.
    enum Way: String {
        case asAsked = "/-/blob"
        /// nginx compares conditions with an ETag of its own: where one holds, it asks itself again without it.
        case withoutConditions = "/-/blob-if"
        /// Nor with a range, whose If-Range doesn't hold.
        case whole = "/-/blob-whole"
    }

    /// Below the directory of blobs.
    public var path: String { LocalBlobs.place(of: digest) }
}

extension Response {
    /// What is sent through nginx: the status line's text.
    public var statusLine: String { "\(status.rawValue) \(phrase ?? status.reasonPhrase)" }

    /// What is sent through nginx: every header, with those that describe the body.
    public var allHeaders: [(name: String, value: String)] {
        switch body {
        case .file(let file): headers + [("X-Accel-Redirect", "\(file.way.rawValue)/\(file.path)")]
        case .bytes where status == .noContent || status == .notModified: headers
        // nginx would send a body of unknown length in chunks, where a client can't tell how much is missing.
        case .bytes(let bytes): headers + [("Content-Length", "\(bytes.count)")]
        }
    }

    /// What is sent through nginx: the body, where nginx doesn't take it from a file.
    public var bytes: [UInt8] {
        switch body {
        case .bytes(let bytes): bytes
        case .file: []
        }
    }
}

public enum ResponseBody: Sendable {
    case bytes([UInt8])
    /// nginx sends it, with its length and the ranges that are asked for.
    case file(BlobFile)
}
