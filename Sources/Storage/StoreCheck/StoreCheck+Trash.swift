import ShaCache

/// What a collection removed: rows and files, both ways. Nothing of it is repaired: the next collections let it go.
extension StoreCheck {
    func checkTrash() throws {
        try BlobRows(session: session).forEachRemovedBlob(checkRemoved)
        try blobs.forEachUnknownInTrash { digest, _ in
            guard case .orphan(let bytes) = try blobs.trashFault(of: digest) else { return }
            try add(.trashOrphan, "trash/\(digest)", bytes: bytes) { false }
        }
    }

    private func checkRemoved(_ row: BlobRow) throws {
        let digest = row.digest
        let hasItsSize = files.fileStatus(at: .trash(digest)).map { Int($0.st_size) } == row.size
        if !hasItsSize, case .lost(let reason) = try blobs.trashFault(of: digest) {
            try addLost(row, reason)
        } else if isHashing, let damage = findDamage(of: digest, at: .trash(digest)) {
            try addLost(row, damage)
        }
    }

    private func addLost(_ row: BlobRow, _ reason: String) throws {
        let detail = "\(reason); \(try entries(naming: row.digest))"
        try add(.trashLost, row.digest.description, bytes: row.size, detail: detail) { false }
    }
}
