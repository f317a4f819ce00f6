public import ShaCache

/// What came of what was asked for ahead. As text, it is a line for each member: its name, a space, its value.
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
