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

    /// Where a blob was fetched from, as long as it is no account's: the upstream's name.
    public func upstream(of digest: Digest) throws -> String? {
        try session.reading {
            try connection.run(
                """
                SELECT name FROM shacache.blob JOIN shacache.upstream ON upstream.id = upstream_id
                WHERE sha512 = \(digest.bytes) AND account_id IS NULL
                """
            ).first?.text(0)
        }
    }

    /// Lets go of a blob that its upstream doesn't have any more, unless something here needs it.
    ///
    /// - Returns: false when it stays.
    public func drop(_ digest: Digest, from upstream: String) throws -> Bool {
        try session.retryingWhileUnavailable {
            try connection.transaction {
                try session.lock(.blob(digest))
                let isDropped = try connection.run(
                    "SELECT shacache.drop_fetched(\(digest.bytes), \(upstream))"
                ).first!.bool(0)
                // Before COMMIT: what is withdrawn must not be served without a row.
                if isDropped { try files.removeDurably(digest) }
                return isDropped
            }
        }
    }
}
