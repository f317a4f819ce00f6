public import ShaCache
import Synchronization
import System

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

    /// - Parameter body: what the directory answered. Each pair is judged by itself, so that one which is broken, by
    ///   mistake or on purpose, can't hide the others.
    init(_ body: [UInt8]) throws(CacheFailure) {
        // Broken UTF-8 in one pair becomes U+FFFD, which breaks that pair's signature and no other's.
        let text = Array(String(decoding: body, as: UTF8.self).utf8)
        guard let document = try? JSON(text) else { throw .malformed("the directory's answer is not JSON") }
        guard case .array(let pairs) = document else { throw .malformed("the directory's answer is not a list") }
        self.pairs = pairs.map { pair in Result { () throws(Refusal) in try Entry(pair: pair) } }
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
