import Postgres
import ShaCache

/// What is wrong with a blob, by its row and its file.
enum BlobFault: Equatable {
    /// There is a row, and no file.
    case dangling(bytes: Int)
    /// The same, but that its file lies among those that were removed.
    case trashed(bytes: Int)
    /// Withdrawn, and its file lies where readers look.
    case exposed
    /// Visible, and its file lies among the withdrawn ones.
    case hidden
    /// The file has another size than the row.
    case size(Int, stored: Int)
}

/// What is wrong with a blob that a collection removed. All of trash goes in its time, whatever this is.
enum TrashFault: Equatable {
    /// It has a row, and can't be restored, for this reason.
    case lost(String)
    /// A file without a row, in bytes.
    case orphan(Int)
}

extension BlobRepository {
    /// Behind the blob's lock, so that a concurrent upload or withdrawal has ended.
    ///
    /// - Returns: nil when nothing is wrong, or there is no row.
    func fault(of digest: Digest) throws -> BlobFault? {
        try connection.transaction {
            try session.lock(.blob(digest))
            let row = try connection.run(
                "SELECT size, withdrawal_id IS NOT NULL FROM shacache.blob WHERE sha512 = \(digest.bytes)"
            ).first
            let found = row.flatMap { fault(of: digest, stored: $0.int(0)!, isWithdrawn: $0.bool(1)) }
            return try found == .hidden && isBeingLifted(digest) ? nil : found
        }
    }

    /// Whether a lift may be between its two transactions: the row comes first, and then the file.
    private func isBeingLifted(_ digest: Digest) throws -> Bool {
        try connection.run(
            """
            SELECT FROM shacache.withdrawal
            WHERE target = 'blob' AND subject = \(digest.description) AND lifted_at > now() - interval '1 minute'
            """
        ).first != nil
    }

    private func fault(of digest: Digest, stored: Int, isWithdrawn: Bool) -> BlobFault? {
        let visible = files.fileStatus(at: .visible(digest)).map { Int($0.st_size) }
        let hidden = files.fileStatus(at: .hidden(digest)).map { Int($0.st_size) }
        if isWithdrawn, visible != nil { return .exposed }
        if !isWithdrawn, visible == nil, hidden != nil { return .hidden }
        guard let size = isWithdrawn ? hidden : visible else {
            return !isWithdrawn && files.isInTrash(digest) ? .trashed(bytes: stored) : .dangling(bytes: stored)
        }
        return size == stored ? nil : .size(size, stored: stored)
    }

    /// Behind the blob's lock, so that a concurrent collection has ended its step.
    ///
    /// - Returns: nil when nothing is wrong, or it isn't in trash (any more); and of a blob whose row is there and has no
    ///   other file, which `fault` finds.
    func trashFault(of digest: Digest) throws -> TrashFault? {
        try connection.transaction {
            try session.lock(.blob(digest))
            let removed = try connection.run("SELECT size FROM shacache.trash WHERE sha512 = \(digest.bytes)").first
            let state = try state(of: digest)
            let size = files.fileStatus(at: .trash(digest)).map { Int($0.st_size) }
            guard let stored = removed?.int(0) else {
                return size.flatMap { state == .absent || files.exists(digest) ? .orphan($0) : nil }
            }
            // It came again, or its file has yet to be moved to trash, or was when a crash came before the row.
            if size == nil, state != .absent || files.isVisible(digest) { return nil }
            guard let size else { return .lost("has no file") }
            return size == stored ? nil : .lost(LocalBlobs.damage(size: size, stored: stored))
        }
    }

    /// The keys of the first visible entries that name a blob, the oldest first, and how many entries there are.
    func naming(_ digest: Digest, first: Int) throws -> (keys: [String], entries: Int) {
        let rows = try connection.run(
            """
            SELECT key, count(*) OVER () FROM shacache.entry
            WHERE sha512 = \(digest.bytes) AND withdrawal_id IS NULL ORDER BY id LIMIT \(first)
            """)
        return (rows.map { $0.text(0)! }, rows.first?.int(1) ?? 0)
    }
}
