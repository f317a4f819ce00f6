/// What the fetcher is asked for. What isn't here a worker hands on to it, by the path of an internal location of nginx
/// (`fetch.conf`).
public enum FetchRoute: Sendable {
    /// - Parameter delivery: by which nginx sends it when it is here.
    case blob(Digest, BlobDelivery)
    case key(Key)
    /// No worker asks for this: it comes by the fetcher's socket, in the place of such a path.
    case ahead(AheadRequest)

    private static let prefix = "/-/fetch/"
    private static let key = "key"
    private static let ahead = "ahead"

    /// - Returns: nil when it is no path that `path` makes.
    public init?(path: String) {
        guard path.hasPrefix(Self.prefix) else { return nil }
        let parts = path.dropFirst(Self.prefix.count).split(separator: "/", omittingEmptySubsequences: false)
        switch (parts.count, parts[0]) {
        case (2, Substring(Self.key)):
            guard let key = Key(hexadecimal: parts[1]) else { return nil }
            self = .key(key)
        case (2, let way):
            guard let delivery = BlobDelivery(rawValue: String(way)), let digest = Digest(String(parts[1])) else {
                return nil
            }
            self = .blob(digest, delivery)
        case (3, Substring(Self.ahead)):
            guard let request = AheadRequest(parts[1], parts[2]) else { return nil }
            self = .ahead(request)
        default: return nil
        }
    }

    public var path: String {
        switch self {
        case .blob(let digest, let delivery): "\(Self.prefix)\(delivery.rawValue)/\(digest)"
        case .key(let key): "\(Self.prefix)\(Self.key)/\(key.hexadecimal)"
        case .ahead(let request): "\(Self.prefix)\(Self.ahead)/\(request.path)"
        }
    }
}

/// How nginx sends a blob's file: by which internal location (`server.conf`).
public enum BlobDelivery: String, Sendable {
    case asAsked = "blob"
    /// nginx compares conditions with an ETag of its own: where one holds, it asks itself again without it.
    case withoutConditions = "blob-if"
    /// Nor with a range, whose If-Range doesn't hold.
    case whole = "blob-whole"

    /// - Parameter place: of the file below the directory of blobs.
    public func location(of place: String) -> String { "/-/\(rawValue)/\(place)" }
}

extension Key {
    /// Its text's bytes: nginx would read slashes and percent signs in it.
    var hexadecimal: String { hex(Array(text.utf8)) }

    /// - Parameter digits: of the bytes of its text.
    public init?(hexadecimal digits: Substring) {
        let digits = Array(digits.utf8)
        guard digits.count % 2 == 0, digits.allSatisfy(\.isHexDigit) else { return nil }
        let bytes = stride(from: 0, to: digits.count, by: 2).map { digits[$0].nibble << 4 | digits[$0 + 1].nibble }
        guard let text = String(validating: bytes, as: UTF8.self), let key = try? Key(text) else { return nil }
        self = key
    }
}
