/// What of a key's list another cache has said, and when.
public struct Provenance: Sendable, Equatable {
    /// Of the upstream, in the configuration.
    public let upstream: String
    /// Since it said so, in seconds.
    public let age: Int
    /// How many of the pairs only it has.
    public let entries: Int

    public init(upstream: String, age: Int, entries: Int) {
        (self.upstream, self.age, self.entries) = (upstream, age, entries)
    }

    /// As a near cache tells it to clients.
    fileprivate var header: (name: String, value: String) {
        // A text in a header has no other characters.
        let name = upstream.filter { $0.isASCII && $0 >= " " && !"\"\\\u{7F}".contains($0) }
        return ("X-ShaCache-Fetched", "\"\(name)\"; age=\(age); entries=\(entries)")
    }
}

/// The headers of an answer that is a key's list, but for its length: the worker's, and the fetcher's.
///
/// - Parameter provenance: nil: nothing of it was fetched.
public func listHeaders(_ provenance: Provenance?) -> [(name: String, value: String)] {
    [("Content-Type", "application/json"), ("Cache-Control", "no-cache")] + (provenance.map { [$0.header] } ?? [])
}
