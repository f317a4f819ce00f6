public import ShaCache

/// One pair of a key, as this node sees it.
public enum ListedEntry {
    case readable(Entry, metadata: JSON, trust: Trust)
    /// A pair that is no entry. The deployed clients lose the whole key over some of these.
    case unreadable(reason: String)
}

/// What a directory lists under a key, oldest first.
public struct Listing {
    public let entries: [ListedEntry]

    /// The entries that a certificate of ours vouches for.
    var trusted: [(entry: Entry, metadata: JSON)] {
        entries.compactMap { listed in
            guard case .readable(let entry, let metadata, .trusted) = listed else { return nil }
            return (entry, metadata)
        }
    }

    /// - Parameter body: what the directory answered. Each pair is judged by itself, so that one which is broken, by
    ///   mistake or on purpose, can't hide the others.
    init(_ body: [UInt8], trusting certificates: TrustedCertificates) throws {
        var favourite = 0
        entries = try Self.pairs(body).map { pair in
            do {
                let entry = try Entry(pair: pair)
                let metadata = try JSON(Array(entry.metadata.utf8))
                return .readable(entry, metadata: metadata, trust: certificates.trust(entry, favourite: &favourite))
            } catch let refusal as Refusal {
                return .unreadable(reason: refusal.message)
            }
        }
    }

    private static func pairs(_ body: [UInt8]) throws(CacheFailure) -> [JSON] {
        // Broken UTF-8 in one pair becomes U+FFFD, which breaks that pair's signature and no other's.
        let text = Array(String(decoding: body, as: UTF8.self).utf8)
        guard let document = try? JSON(text) else { throw .malformed("the directory's answer is not JSON") }
        guard case .array(let pairs) = document else { throw .malformed("the directory's answer is not a list") }
        return pairs
    }
}
