public import ShaCache
import Threads

/// What a cache has under a key, entry by entry, for somebody who looks before trusting.
public struct Lookup {
    /// One entry, and its blob.
    public struct Row: Sendable {
        public let entry: Entry
        public let metadata: JSON
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
        let listing = try cache.listing(of: key, trusting: certificates)
        let blobs = try Self.blobs(of: listing, in: cache)
        lines = listing.entries.map { listed in
            switch listed {
            case .unreadable(let reason): .unreadable(reason: reason)
            case .readable(let entry, let metadata, let trust):
                .entry(
                    Row(
                        entry: entry, metadata: metadata, trust: trust, platform: Platform(metadata),
                        blob: blobs[entry.sha512] ?? nil))
            }
        }
    }

    public var rows: [Row] {
        lines.compactMap { line in
            guard case .entry(let row) = line else { return nil }
            return row
        }
    }

    private static func blobs(of listing: Listing, in cache: Cache) throws -> [Digest: Cache.BlobStatus?] {
        var digests: Set<Digest> = []
        for case .readable(let entry, _, _) in listing.entries { digests.insert(entry.sha512) }
        let found = Monitor<Result<[Digest: Cache.BlobStatus?], any Error>>(.success([:]))
        let ordered = Array(digests)
        let threads = min(Self.threads, ordered.count)
        let shares = (0..<threads).map { stride(from: $0, to: ordered.count, by: threads).map { ordered[$0] } }
        let settings = cache.settings
        try concurrently(shares, threads: threads) { _, share in
            let cache = Cache(settings)
            for digest in share {
                let status = Result { try cache.status(of: digest) }
                found.change { found in
                    found = found.flatMap { known in status.map { known.merging([digest: $0]) { $1 } } }
                }
            }
        }
        return try found.wait { $0 }.get()
    }
}
