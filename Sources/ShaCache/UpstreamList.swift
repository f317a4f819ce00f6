/// The upstreams of a near cache, as it names them with a miss: `"far", "other"; away` (structured fields, RFC 9651).
public struct UpstreamList: Sendable {
    public struct Upstream: Equatable, Sendable {
        public let name: String
        /// It isn't asked for a while, since it did not answer.
        public let isAway: Bool

        public init(name: String, isAway: Bool) { (self.name, self.isAway) = (name, isAway) }
    }

    public let upstreams: [Upstream]

    public static let headerName = "X-ShaCache-Upstreams"

    public init(_ upstreams: [Upstream]) { self.upstreams = upstreams }

    /// nil when it can't be read.
    public init?(_ text: String) {
        let items = text.matches(of: /"([a-z0-9._-]{1,63})"(; away)?(?:, |$)/)
        guard !items.isEmpty, items.map({ String($0.0) }).joined() == text else { return nil }
        upstreams = items.map { Upstream(name: String($0.1), isAway: $0.2 != nil) }
    }

    public var text: String { upstreams.map { "\"\($0.name)\"" + ($0.isAway ? "; away" : "") }.joined(separator: ", ") }
}
