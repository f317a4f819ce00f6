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
            return row.flatMap { fault(of: digest, stored: $0.int(0)!, isWithdrawn: $0.bool(1)) }
        }
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
