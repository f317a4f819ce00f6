/// What is asked for ahead of any client, by `shacache-admin mirror`.
public enum AheadRequest: Sendable {
    /// Asks the upstreams for its list, whatever is remembered of it.
    case key(Key)
    /// Fetches it, unless it is here.
    case blob(Digest)
    /// Lets go of it, if the upstream that it came from doesn't have it any more.
    case hiddenBlob(Digest)

    /// The end of its path.
    var path: String {
        switch self {
        case .key(let key): "key/\(key.hexadecimal)"
        case .blob(let digest): "blob/\(digest)"
        case .hiddenBlob(let digest): "hidden/\(digest)"
        }
    }

    /// - Returns: nil when no path that `path` makes has these parts.
    init?(_ kind: Substring, _ name: Substring) {
        switch kind {
        case "key":
            guard let key = Key(hexadecimal: name) else { return nil }
            self = .key(key)
        case "blob":
            guard let digest = Digest(String(name)) else { return nil }
            self = .blob(digest)
        case "hidden":
            guard let digest = Digest(String(name)) else { return nil }
            self = .hiddenBlob(digest)
        default: return nil
        }
    }
}
