public import ShaCache

/// What was fetched from other caches.
extension Browsing {
    /// What an upstream lists under a key and nobody put here, in its order.
    public func fetchedEntries(under key: String, limit: Int) throws -> [FetchedEntrySummary] {
        try session.reading {
            try session.connection.run(
                """
                SELECT sha512, signature_result, signer, extract(epoch FROM signer_revoked_at)::bigint, size, upstream,
                    extract(epoch FROM answered_at)::bigint
                FROM page.fetched_entry WHERE key = \(key) ORDER BY position LIMIT \(limit)
                """)
        }.map { row in
            FetchedEntrySummary(
                sha512: row.digest(0)!, signatureResult: row.text(1)!, signer: row.text(2), signerRevokedAt: row.int(3),
                blobSize: row.int(4), upstream: row.text(5)!, answeredAt: row.int(6)!)
        }
    }

    public func countFetchedEntries(under key: String) throws -> Int {
        try session.reading {
            try session.connection.run("SELECT count(*) FROM page.fetched_entry WHERE key = \(key)")
        }.first!.int(0)!
    }

    /// nil: nobody has looked.
    public func fetchedTotals() throws -> FetchedTotals? {
        try session.reading {
            try session.connection.run("SELECT blobs, bytes, bytes_limit, keys FROM page.fetched")
        }.first.map {
            FetchedTotals(blobs: $0.int(0)!, bytes: $0.int(1)!, bytesLimit: $0.int(2), keys: $0.int(3)!)
        }
    }
}

/// A pair of an upstream's list.
public struct FetchedEntrySummary: Sendable {
    public let sha512: Digest
    /// `verified`, `unsigned` or `unknown signer`, when it was fetched.
    public let signatureResult: String
    public let signer: String?
    /// Seconds since 1970.
    public let signerRevokedAt: Int?
    /// In bytes; nil when the blob is not here.
    public let blobSize: Int?
    public let upstream: String
    /// When it said so, in seconds since 1970.
    public let answeredAt: Int
}

/// What was fetched, and no account has uploaded.
public struct FetchedTotals: Sendable {
    public let blobs: Int
    public let bytes: Int
    /// nil: there is none.
    public let bytesLimit: Int?
    public let keys: Int
}
