import CCurl

/// What a server answered.
public struct Response: Sendable {
    public let head: Head
    /// Of a body that went to no receiver, the first 64 MiB at most.
    public let body: [UInt8]

    public var status: Int { head.status }

    /// The body as one line of talk, for messages.
    public var words: String {
        let text = String(decoding: body.prefix(500), as: UTF8.self)
        return text.split(whereSeparator: \.isWhitespace).joined(separator: " ")
    }
}

/// Status and headers.
public struct Head: Sendable {
    public let status: Int
    private let headers: [String: String]

    init(status: Int, headers: [String: String]) {
        self.status = status
        self.headers = headers
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

    /// In bytes; nil when the server doesn't say.
    public var contentLength: Int? { self["content-length"].flatMap { Int($0) } }

    /// Where a partial answer starts, in bytes; nil when this is none.
    public var rangeStart: Int? {
        guard status == 206, let range = self["content-range"], range.hasPrefix("bytes ") else { return nil }
        return range.dropFirst(6).split(separator: "-").first.flatMap { Int($0) }
    }
}
