public import ShaCache
import Threads

/// What a cache has under a key, entry by entry, for somebody who looks before trusting.
public struct Lookup {
    /// One entry, and its blob.
    public struct Row: Sendable {
        public let entry: Entry
        public let trust: Trust
        /// nil when the entry names none.
        public let platform: Platform?
        /// nil when the blob isn't there: the entry is dangling.
        public let blob: Cache.BlobStatus?
    }

    public enum Line: Sendable {
        case entry(Row)
        case unreadable(reason: String)
    }

    /// Oldest first.
    public let lines: [Line]

    /// Connections that ask for blobs at once: a far server's answers take long, not its work.
    private static let threads = 8

    public init(_ key: Key, in cache: Cache, trusting certificates: TrustedCertificates) throws {
        let unverified = try cache.listing(of: key)
        let (digests, settings) = (Array(unverified.digests), cache.settings)
        let search = try Background { try Self.statuses(of: digests, in: settings) }
        let listing = Result { try unverified.verified(by: certificates) }
        let blobs = try search.value()
        lines = try listing.get().entries.map { Self.line($0, blobs) }
    }

    public var rows: [Row] {
        lines.compactMap { line in
            guard case .entry(let row) = line else { return nil }
            return row
        }
    }

    private static func line(_ listed: ListedEntry, _ blobs: [Digest: Cache.BlobStatus]) -> Line {
        switch listed {
        case .unreadable(let reason): .unreadable(reason: reason)
        case .readable(let entry, let trust):
            .entry(Row(entry: entry, trust: trust, platform: Platform(entry.content), blob: blobs[entry.sha512]))
        }
    }

    private static func statuses(of digests: [Digest], in settings: Cache.Settings) throws -> [Digest: Cache.BlobStatus]
    {
        let found = Monitor<Result<[Digest: Cache.BlobStatus], any Error>>(.success([:]))
        let threads = min(Self.threads, digests.count)
        let shares = (0..<threads).map { stride(from: $0, to: digests.count, by: threads).map { digests[$0] } }
        try concurrently(shares, threads: threads) { _, share in
            let cache = Cache(settings)
            let statuses = Result { try share.map { ($0, try cache.status(of: $0)) } }
            found.change { found in
                found = found.flatMap { known in
                    statuses.map { $0.reduce(into: known) { $0[$1.0] = $1.1 } }
                }
            }
        }
        return try found.wait { $0 }.get()
    }
}
