public import ShaCache

/// What is asked for ahead of any client, by `shacache-admin mirror`: on the fetcher's socket, in the place of a path that a
/// worker sends nginx to.
public enum AheadRequest: Sendable {
    /// Asks the upstreams for its list, whatever is remembered of it.
    case key(Key)
    /// Fetches it, unless it is here.
    case blob(Digest)
    /// Lets go of it, if the upstream that it came from doesn't have it any more.
    case hiddenBlob(Digest)

    private static let prefix = ["-", "fetch", "ahead"]

    var path: String {
        let target =
            switch self {
            case .key(let key): ["key", hex(Array(key.text.utf8))]
            case .blob(let digest): ["blob", digest.description]
            case .hiddenBlob(let digest): ["hidden", digest.description]
            }
        return "/" + (Self.prefix + target).joined(separator: "/")
    }

    /// - Returns: nil when it is no path that `path` makes.
    init?(path: String) {
        let parts = path.split(separator: "/").map(String.init)
        guard parts.count == 5, Array(parts[..<3]) == Self.prefix else { return nil }
        switch parts[3] {
        case "key":
            guard let key = Key(hexadecimal: parts[4][...]) else { return nil }
            self = .key(key)
        case "blob":
            guard let digest = Digest(parts[4]) else { return nil }
            self = .blob(digest)
        case "hidden":
            guard let digest = Digest(parts[4]) else { return nil }
            self = .hiddenBlob(digest)
        default: return nil
        }
    }
}

/// What came of it. As text, it is a line for each member: its name, a space, its value.
public struct AheadAnswer: Equatable, Sendable {
    public enum Outcome: String, Sendable {
        /// Of a blob: it was here, or stays here.
        case here
        case fetched
        /// Of a key.
        case listed
        case dropped
        /// No upstream has it, or it is withdrawn here.
        case absent
        case failed
        /// Nothing is said of it: this cache has no room, or its database is away.
        case unavailable
    }

    public var outcome: Outcome
    /// Why not; empty: there is nothing to say.
    public var reason = ""
    /// Of a blob that was fetched.
    public var bytes = 0
    /// The blobs that a key's list names and that are not here.
    public var lacking: [Digest] = []
    /// The upstreams that aren't asked now, since they did not answer.
    public var away: [String] = []

    init(_ outcome: Outcome, _ reason: String = "") { (self.outcome, self.reason) = (outcome, reason) }

    var text: String {
        // A reason has other servers' words.
        let line = String(
            String.UnicodeScalarView(reason.unicodeScalars.map { $0.properties.generalCategory == .control ? " " : $0 })
        )
        return
            (["outcome \(outcome.rawValue)", "reason \(line)", "bytes \(bytes)"]
            + lacking.map { "lacking \($0)" } + away.map { "away \($0)" }).map { "\($0)\n" }.joined()
    }

    /// nil when it can't be read.
    init?(text: String) {
        self.init(.failed)
        var isAnswer = false
        for line in text.split(separator: "\n") {
            let (name, value) = (line.prefix { $0 != " " }, String(line.drop { $0 != " " }.dropFirst()))
            switch name {
            case "outcome":
                guard let outcome = Outcome(rawValue: value) else { return nil }
                (self.outcome, isAnswer) = (outcome, true)
            case "reason": reason = value
            case "bytes": bytes = Int(value) ?? 0
            case "lacking":
                guard let digest = Digest(value) else { return nil }
                lacking.append(digest)
            case "away": away.append(value)
            default: return nil
            }
        }
        guard isAnswer else { return nil }
    }
}
