/// The caches that have passed a request on, each by a name of its own: the header CDN-Loop (RFC 8586). By it a ring of
/// caches that name each other as upstream ends at once.
struct CacheLoop: Hashable, Sendable {
    private let members: [String]
    /// Whether the last of them asks another one next, if this one doesn't have at once what is asked for.
    let goesOn: Bool

    /// More caches in a row are a ring, or might as well be one.
    private static let limit = 8

    static let headerName = "CDN-Loop"
    /// A parameter of the last member.
    private static let goingOn = ";goes-on=1"

    /// - Parameter text: the header's value, which may be anything.
    init(_ text: String) {
        members = text.split(separator: ",").prefix(Self.limit + 1).map { member in
            String(
                member.prefix { $0 != ";" }.filter { $0.isASCII && ($0.isLetter || $0.isNumber || "-._:".contains($0)) }
                    .prefix(64))
        }
        goesOn = text.hasSuffix(Self.goingOn)
    }

    /// Whether another cache has passed the request on.
    var isPassedOn: Bool { !members.isEmpty }

    /// Whether a cache of that name must not pass the request on.
    func ends(at name: String) -> Bool { members.contains(name) || members.count >= Self.limit }

    /// The header's value behind one more cache.
    ///
    /// - Parameter goesOn: whether that one asks another one next.
    func passing(_ name: String, goesOn: Bool = false) -> String {
        (members + [name]).joined(separator: ", ") + (goesOn ? Self.goingOn : "")
    }
}
