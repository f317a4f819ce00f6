import Postgres
public import ShaCache

/// What was found to be at the wrong place, and moved to the right one.
public enum Reconciliation {
    /// A withdrawn blob whose file lay where readers look.
    case hidden(Digest)
    /// A blob that isn't withdrawn, whose file was hidden.
    case restored(Digest)
    /// nil: of no single blob.
    case failed(Digest?, any Error)
}

extension BlobRepository {
    /// Reconciles files with rows: each file goes where its row has it. Hiding is the more urgent. What fails for one
    /// blob, because of the disk say, is no reason to leave out the others.
    public func reconcile() -> [Reconciliation] {
        reconcileEach(try wronglyVisibleBlobs()) { try hideFile($0) ? .hidden($0) : nil }
            + reconcileEach(try wronglyHiddenBlobs()) { try restoreFile($0) ? .restored($0) : nil }
    }

    private func reconcileEach(
        _ find: @autoclosure () throws -> [Digest], _ move: (Digest) throws -> Reconciliation?
    ) -> [Reconciliation] {
        do {
            return try find().compactMap { digest in
                do { return try move(digest) } catch { return .failed(digest, error) }
            }
        } catch {
            return [.failed(nil, error)]
        }
    }

    /// The hidden files of blobs that aren't withdrawn.
    public func wronglyHiddenBlobs() throws -> [Digest] {
        try connection.run(
            "SELECT sha512 FROM shacache.blob WHERE sha512 = ANY(\(files.hiddenBlobs())) AND withdrawal_id IS NULL"
        ).digests
    }

    /// The withdrawn blobs whose files lie where readers look.
    public func wronglyVisibleBlobs() throws -> [Digest] {
        var digests: [Digest] = []
        try BlobRows(session: session).forEachWithdrawnBlob {
            if files.isVisible($0.digest) { digests.append($0.digest) }
        }
        return digests
    }

    /// Shows a hidden file again, unless its blob is withdrawn.
    ///
    /// - Returns: whether there was one.
    @discardableResult
    public func restoreFile(_ digest: Digest) throws -> Bool {
        try connection.transaction {
            try session.lock(.blob(digest))
            return try state(of: digest) == .visible ? files.restore(digest) : false
        }
    }

    /// Hides the file of a blob that is withdrawn.
    ///
    /// - Returns: whether it was to be seen.
    @discardableResult
    public func hideFile(_ digest: Digest) throws -> Bool {
        try connection.transaction {
            guard try isWronglyVisible(digest) else { return false }
            try files.hide(digest)
            return true
        }
    }

    func isWronglyVisibleNow(_ digest: Digest) throws -> Bool {
        try connection.transaction { try isWronglyVisible(digest) }
    }

    /// Behind the blob's lock, so that a concurrent upload or withdrawal has ended.
    private func isWronglyVisible(_ digest: Digest) throws -> Bool {
        try session.lock(.blob(digest))
        return try state(of: digest) == .withdrawn && files.isVisible(digest)
    }
}
