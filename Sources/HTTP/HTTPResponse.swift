import CCurl
import ShaCache

/// What a server answered.
public struct HTTPResponse: Sendable {
    public let head: Head
    /// Of a body that went to no receiver, the first 64 MiB at most.
    public let body: [UInt8]

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
