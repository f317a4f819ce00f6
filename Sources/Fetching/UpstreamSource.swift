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
        guard server.breaker.allows() else { throw UpstreamFailure(.noAnswer, "\(name): does not answer") }
        let limit = server.upstream.sizeLimit
        var count = 0
        let head = try server.ask(.get, digest, loop: CacheLoop("").passing("shacache-admin")) { _, _, bytes in
            count += bytes.count
            guard count <= limit else { throw UpstreamFailure(.tooLarge, "\(name): sends more than \(limit) bytes") }
            try write(bytes)
        }.head
        guard head.status == 200 else { throw UpstreamFailure(.status, "\(name): answers \(head.status)") }
    }
}
