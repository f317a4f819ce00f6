/// What a worker hands on to the fetcher, since it isn't here: by the path of an internal location of nginx (`fetch.conf`).
public enum FetchRoute: Sendable {
    /// - Parameter delivery: by which nginx sends it when it is here.
    case blob(Digest, BlobDelivery)
    case key(Key)

    private static let prefix = "/-/fetch/"
    private static let key = "key"

    /// - Returns: nil when it is no path that `path` makes.
    public init?(path: String) {
        guard path.hasPrefix(Self.prefix) else { return nil }
        let parts = path.dropFirst(Self.prefix.count).split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2 else { return nil }
        if parts[0] == Self.key {
            guard let key = Key(hexadecimal: parts[1]) else { return nil }
            self = .key(key)
        } else {
            guard let delivery = BlobDelivery(rawValue: String(parts[0])), let digest = Digest(String(parts[1])) else {
                return nil
            }
            self = .blob(digest, delivery)
        }
    }

    /// A key is in hexadecimal: nginx would read slashes and percent signs in it.
    public var path: String {
        switch self {
        case .blob(let digest, let delivery): "\(Self.prefix)\(delivery.rawValue)/\(digest)"
        case .key(let key): "\(Self.prefix)\(Self.key)/\(hex(Array(key.text.utf8)))"
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
    /// - Parameter digits: of the bytes of its text.
    public init?(hexadecimal digits: Substring) {
        let digits = Array(digits.utf8)
        guard digits.count % 2 == 0, digits.allSatisfy(\.isHexDigit) else { return nil }
        let bytes = stride(from: 0, to: digits.count, by: 2).map { digits[$0].nibble << 4 | digits[$0 + 1].nibble }
        guard let text = String(validating: bytes, as: UTF8.self), let key = try? Key(text) else { return nil }
        self = key
    }
}
