public import Configuration
public import ShaCache

/// An upstream as whoever isn't the fetcher asks it for single blobs, within the same limits. Of one thread.
public struct UpstreamSource {
    private let server: UpstreamServer

    /// In their order.
    public static func all(of upstreams: [Upstream]) -> [UpstreamSource] {
        UpstreamServer.all(of: upstreams).map { UpstreamSource(server: $0) }
    }

    public var name: String { server.name }

    /// - Parameter write: takes the bytes, as they come. Whether they are right isn't known before the end.
    /// - Throws: when the upstream hasn't got it, or doesn't give it; and what `write` throws.
    public func fetch(_ digest: Digest, _ write: @escaping (UnsafeRawBufferPointer) throws -> Void) throws {
        guard server.breaker.allows() else { throw NotAsked(upstream: name) }
        let loop = CacheLoop("").passing("shacache-admin")
        let head = try server.ask(.get, digest, loop: loop) { _, _, bytes in try write(bytes) }.head
        guard try server.has(digest, head) else { throw UpstreamFailure(.status, "\(name): hasn't got it") }
    }
}
