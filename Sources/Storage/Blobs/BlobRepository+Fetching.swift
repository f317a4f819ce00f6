import Postgres
public import ShaCache

/// Blobs that come from another cache: by no account, and with no quota.
extension BlobRepository {
    /// Whether a blob may be fetched: a withdrawn one stays hidden, whoever else has it.
    public func mayFetch(_ digest: Digest) throws -> Bool {
        try session.reading { try state(of: digest) != .withdrawn }
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

    /// What isn't here yet.
    fileprivate func storeFetchedGroup(_ members: [UploadGroups<FetchedBlob>.GroupMember]) {
        let blobs = members.map(\.upload)
        publish(members, "shacache.admit_fetched(\(blobs.map(\.digest)))") {
            FetchedBlob.recording(blobs, verdicts: $0)
        }
    }

    /// In place of a damaged file, it heals that.
    ///
    /// - Returns: false when the blob is withdrawn, and nothing is stored.
    fileprivate func storeFetchedAlone(_ blob: FetchedBlob) throws -> Bool {
        try session.retryingWhileUnavailable {
            try connection.transaction {
                try session.lock(.blob(blob.digest))
                guard try state(of: blob.digest) != .withdrawn else { return false }
                try files.linkDurably(blob.descriptor, as: blob.digest)
                try connection.run(FetchedBlob.recording([blob], verdicts: "ARRAY['new']"))
                return true
            }
        }
    }
}

/// A sealed file whose bytes came from another cache.
private struct FetchedBlob: PublishedUpload {
    let digest: Digest
    let descriptor: CInt
    /// In bytes.
    let size: Int
    let upstream: String

    /// The statement that records those that have a verdict.
    static func recording(_ blobs: [FetchedBlob], verdicts: SQL) -> SQL {
        """
        SELECT shacache.record_fetched(
            \(blobs.map(\.digest)), \(blobs.map { String($0.size) })::bigint[], \(blobs.map(\.upstream))::text[],
            \(verdicts))
        """
    }
}

/// Where the threads of a process store what they have fetched: those that come at once, together.
public final class FetchedBlobs: Sendable {
    private let files: LocalBlobs
    private let withSession: SessionLender
    private let groups = UploadGroups<FetchedBlob>()

    /// Lends a session of the database for as long as the closure runs that it is given.
    public typealias SessionLender = @Sendable ((Session) throws -> Void) throws -> Void

    public init(in files: LocalBlobs, withSession: @escaping SessionLender) {
        (self.files, self.withSession) = (files, withSession)
    }

    /// Makes fetched bytes a blob: when this returns, they, their name and their row have reached the disk.
    ///
    /// - Parameters:
    ///   - digest: theirs.
    ///   - size: in bytes.
    ///   - upstream: the name of the cache that they came from.
    /// - Returns: false when the blob was withdrawn meanwhile, and nothing is stored.
    /// - Throws: `StoreError` or `DatabaseError`. A file may be left without a row, which is harmless.
    public func store(
        _ body: borrowing SpooledBody, as digest: Digest, size: Int, from upstream: String
    ) throws -> Bool {
        try body.seal(size)
        let blob = FetchedBlob(digest: digest, descriptor: body.descriptor, size: size, upstream: upstream)
        let outcome = groups.submit(blob) { members, _ in
            // Of the sessions alone: a group gives its own failures to its members.
            try? withSession { BlobRepository(files, $0).storeFetchedGroup(members) }
        }
        switch outcome {
        case .stored: return true
        case .failed(let error): throw error
        case .alone:
            var isStored = false
            try withSession { isStored = try BlobRepository(files, $0).storeFetchedAlone(blob) }
            return isStored
        }
    }
}
