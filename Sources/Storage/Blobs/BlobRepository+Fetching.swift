import Postgres
public import ShaCache

/// Blobs that come from another cache: by no account, and with no quota.
extension BlobRepository {
    /// Whether a blob may be fetched: a withdrawn one stays hidden, whoever else has it.
    public func mayFetch(_ digest: Digest) throws -> Bool {
        try session.reading { try state(of: digest) != .withdrawn }
    }

    /// Makes fetched bytes a blob: when this returns, they, their name and their row have reached the disk. In place of a
    /// damaged file, they heal it.
    ///
    /// - Parameters:
    ///   - digest: theirs.
    ///   - size: in bytes.
    ///   - upstream: the name of the cache that they came from.
    /// - Returns: false when the blob was withdrawn meanwhile, and nothing is stored.
    /// - Throws: `StoreError` or `DatabaseError`. A file may be left without a row, which is harmless.
    public func storeFetched(
        _ body: borrowing SpooledBody, as digest: Digest, size: Int, from upstream: String
    ) throws -> Bool {
        try body.seal(size)
        let descriptor = body.descriptor
        return try session.retryingWhileUnavailable {
            try connection.transaction {
                try session.lock(.blob(digest))
                guard try state(of: digest) != .withdrawn else { return false }
                try files.linkDurably(descriptor, as: digest)
                try connection.run("SELECT shacache.record_fetched(\(digest.bytes), \(size), \(upstream))")
                return true
            }
        }
    }
}
