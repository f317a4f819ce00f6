public import ShaCache
import Synchronization
import System

/// What a cache has under a key, entry by entry, to look at before it is trusted.
public struct Lookup {
    /// One entry, and its blob.
    public struct LookupRow: Sendable {
        public let entry: Entry
        public let trust: Trust
        /// nil when the entry names none.
        public let platform: Platform?
        /// From which upstream a near cache has it; nil when the entry was put there.
        public let upstream: String?
        public let blob: Blob
    }

    public enum Blob: Sendable {
        case there(Cache.BlobStatus)
        /// The entry is dangling.
        case missing
        /// The request failed.
        case unknown
    }

    public enum Line: Sendable {
        case entry(LookupRow)
        case unreadable(reason: String)
    }

    /// Oldest first; of a near cache, as its upstream has them, and behind that what was put there.
    public let lines: [Line]
    /// Of a near cache that has fetched some of it.
    public let provenance: Provenance?

    /// Connections that ask for blobs at once: a far server's answers take long, not its work.
    private static let threads = 8

    public init(_ key: Key, in cache: Cache, trusting certificates: TrustedCertificates) throws {
        let unverified = try cache.listing(of: key)
        let (digests, settings) = (Array(unverified.digests), cache.settings)
        let search = try Background { try Self.blobs(of: digests, in: settings) }
        let listing = Result { try unverified.verified(by: certificates) }
        let blobs = try search.value()
        let provenance = unverified.provenance
        self.provenance = provenance
        lines = try listing.get().entries.enumerated().map { index, listed in
            let isFetched = provenance?.numbers.contains { $0.contains(index + 1) } ?? false
            return Self.line(listed, from: isFetched ? provenance?.upstream : nil, blobs)
        }
    }

    public var rows: [LookupRow] {
        lines.compactMap { line in
            guard case .entry(let row) = line else { return nil }
            return row
        }
    }

    private static func line(_ listed: ListedEntry, from upstream: String?, _ blobs: [Digest: Blob]) -> Line {
        switch listed {
        case .unreadable(let reason): .unreadable(reason: reason)
        case .readable(let entry, let trust):
            .entry(
                LookupRow(
                    entry: entry, trust: trust, platform: Platform(entry.content), upstream: upstream,
                    blob: blobs[entry.sha512] ?? .unknown))
        }
    }

    /// - Returns: nil where the server takes no lists, or isn't worth one.
    private static func listedBlobs(of digests: [Digest], in cache: Cache) throws -> [Digest: Blob]? {
        guard digests.count > 1 else { return nil }
        var found: [Digest: Blob] = [:]
        for start in stride(from: 0, to: digests.count, by: Cache.listLength) {
            let asked = Array(digests[start...].prefix(Cache.listLength))
            guard let statuses = try cache.statuses(of: asked) else { return nil }
            for (digest, status) in zip(asked, statuses) { found[digest] = status.map(Blob.there) ?? .missing }
        }
        return found
    }

    /// Without those that could not be asked for, of which there is one warning: signers and trust can be shown anyway.
    private static func blobs(of digests: [Digest], in settings: Cache.Settings) throws -> [Digest: Blob] {
        if let blobs = try? listedBlobs(of: digests, in: Cache(settings)) { return blobs }
        let found = Monitor<[Digest: Blob]>([:])
        let failure = Monitor<(any Error)?>(nil)
        let threads = min(Self.threads, digests.count)
        let shares = (0..<threads).map { stride(from: $0, to: digests.count, by: threads).map { digests[$0] } }
        try concurrently(shares, threads: threads) { _, share in
            let cache = Cache(settings)
            for digest in share where failure.wait(for: { .some($0 == nil) }) {
                do {
                    let blob = try cache.status(of: digest).map(Blob.there) ?? .missing
                    found.change { $0[digest] = blob }
                } catch {
                    failure.change { $0 = error }
                }
            }
        }
        if let failure = failure.wait(for: { .some($0) }) {
            settings.retry.reporter.warn("not all blobs could be asked for: \(failure)")
        }
        return found.wait { $0 }
    }
}

/// One pair of a key, as this node sees it.
public enum ListedEntry: Sendable {
    case readable(Entry, Trust)
    /// A pair that is no entry. The deployed clients lose the whole key over some of these.
    case unreadable(reason: String)
}

/// What a directory lists under a key, oldest first.
public struct Listing: Sendable {
    public let entries: [ListedEntry]

    /// The entries that a certificate of ours vouches for.
    var trusted: [Entry] {
        entries.compactMap { listed in
            guard case .readable(let entry, .trusted) = listed else { return nil }
            return entry
        }
    }
}

/// The same before its signatures are verified.
struct UnverifiedListing {
    private let pairs: [Result<Entry, Refusal>]
    /// What a near cache says of it.
    let provenance: Provenance?

    /// - Parameter body: what the directory answered. Each pair is judged by itself, so that one which is broken, by
    ///   mistake or on purpose, can't hide the others.
    init(_ body: [UInt8], _ provenance: Provenance? = nil) throws(CacheFailure) {
        // Broken UTF-8 in one pair becomes U+FFFD, which breaks that pair's signature and no other's.
        let text = Array(String(decoding: body, as: UTF8.self).utf8)
        guard let document = try? JSON(text) else { throw .malformed("the directory's answer is not JSON") }
        guard case .array(let pairs) = document else { throw .malformed("the directory's answer is not a list") }
        self.pairs = pairs.map { pair in Result { () throws(Refusal) in try Entry(pair: pair) } }
        self.provenance = provenance
    }

    func contains(_ entry: Entry) -> Bool {
        let digest = entry.digest
        return pairs.contains { (try? $0.get().digest) == digest }
    }

    /// `Entry.digest` of each that can be read.
    var entryDigests: Set<[UInt8]> { Set(pairs.compactMap { try? $0.get().digest }) }

    var digests: Set<Digest> { Set(pairs.compactMap { try? $0.get().sha512 }) }

    func verified(by certificates: TrustedCertificates) throws -> Listing {
        let verified = Mutex<[Int: Result<[ListedEntry], any Error>]>([:])
        // A thread isn't worth less than this.
        let chunks = stride(from: 0, to: pairs.count, by: 50).map { pairs[$0...].prefix(50) }
        try concurrently(chunks, threads: processorCount) { index, chunk in
            var favourite = 0
            let entries = Result { try chunk.map { try Self.verified($0, by: certificates, favourite: &favourite) } }
            verified.withLock { $0[index] = entries }
        }
        return Listing(entries: try verified.withLock { found in try chunks.indices.flatMap { try found[$0]!.get() } })
    }

    private static func verified(
        _ pair: Result<Entry, Refusal>, by certificates: TrustedCertificates, favourite: inout Int
    ) throws -> ListedEntry {
        switch pair {
        case .success(let entry): .readable(entry, try certificates.trust(entry, favourite: &favourite))
        case .failure(let refusal): .unreadable(reason: refusal.description)
        }
    }
}
