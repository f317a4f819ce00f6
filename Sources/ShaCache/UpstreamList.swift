/// The upstreams of a near cache, as it names them with a miss: `"far", "other"; away, "third"; away=certificate` (structured
/// fields, RFC 9651).
public struct UpstreamList: Sendable {
    public struct Upstream: Equatable, Sendable {
        public let name: String
        public let state: State

        public init(name: String, state: State) { (self.name, self.state) = (name, state) }
    }

    public enum State: String, Sendable {
        case asked = ""
        /// It isn't asked for a while, since it did not answer.
        case away = "; away"
        /// Nor this one, since its certificate isn't accepted, or ours can't be used.
        case untrusted = "; away=certificate"
    }

    public let upstreams: [Upstream]

    public static let headerName = "X-ShaCache-Upstreams"

    public init(_ upstreams: [Upstream]) { self.upstreams = upstreams }

    /// nil when it can't be read.
    public init?(_ text: String) {
        let items = text.matches(of: /"([a-z0-9._-]{1,63})"(; away(?:=certificate)?)?(?:, |$)/)
        guard !items.isEmpty, items.map({ String($0.0) }).joined() == text else { return nil }
        upstreams = items.map { Upstream(name: String($0.1), state: State(rawValue: String($0.2 ?? ""))!) }
    }

    public var text: String { upstreams.map { "\"\($0.name)\"\($0.state.rawValue)" }.joined(separator: ", ") }
}
