import Glibc
import ShaCache

extension StoreWalk {
    /// - Parameter files: those on the shelf. Those with a row are removed; the rest are added as files without one.
    mutating func compareShelf(_ shelf: UInt8, _ files: inout [Digest: StoredFile]) throws {
        var absent: [BlobRow] = []
        try rows.forEachBlob(on: shelf) { blob in
            if let file = files.removeValue(forKey: blob.digest) {
                try addVisible(file, of: blob)
            } else if !blob.isWithdrawn {
                absent.append(blob)
            }
        }
        for blob in absent { try lookUpAgain(for: blob, at: .visible(blob.digest)) }
        for (digest, file) in files { try addWithoutRow(file, at: .visible(digest)) }
    }

    /// A file that was hidden since its shelf was read is counted where it lies now.
    private func addVisible(_ file: StoredFile, of blob: BlobRow) throws {
        guard blob.isWithdrawn else { return try addBlob(file, of: blob, at: .visible(blob.digest)) }
        if try blobs.isWronglyVisibleNow(blob.digest) { try add(file, as: .exposed, at: .visible(blob.digest)) }
    }

    /// - Parameter files: the bytes of withdrawn blobs.
    mutating func compareWithdrawn(_ files: inout [Digest: StoredFile]) throws {
        var absent: [BlobRow] = []
        try rows.forEachWithdrawnBlob { blob in
            if let file = files.removeValue(forKey: blob.digest) {
                try addBlob(file, of: blob, at: .hidden(blob.digest))
            } else {
                absent.append(blob)
            }
        }
        for blob in absent { try lookUpAgain(for: blob, at: .hidden(blob.digest)) }
        for (digest, file) in files {
            guard let isWithdrawn = try rows.isWithdrawn(digest) else {
                try addWithoutRow(file, at: .hidden(digest))
                continue
            }
            try add(file, as: .withdrawn, at: .hidden(digest), isMisplaced: !isWithdrawn)
        }
    }

    /// For a blob whose file was not there when the directory was read: it may have been uploaded, withdrawn or
    /// restored since then.
    private mutating func lookUpAgain(for blob: BlobRow, at place: StoredItem.Place) throws {
        if let status = store.fileStatus(at: place) {
            try addBlob(facts(status), of: blob, at: place)
        } else if store.fileStatus(at: .visible(blob.digest)) != nil
            || store.fileStatus(at: .hidden(blob.digest)) != nil
        {
            // Being moved from one to the other; or a crash left it there, where it is counted as well.
            return
        } else if try rows.isWithdrawn(blob.digest) == blob.isWithdrawn {
            try add(StoredFile(missing: blob.size), as: .dangling, at: .row(blob.digest))
        }
    }

    private func addBlob(_ file: StoredFile, of blob: BlobRow, at place: StoredItem.Place) throws {
        guard file.bytes == blob.size else {
            return try add(
                file, as: .damaged, at: place, detail: LocalBlobs.damage(size: file.bytes, stored: blob.size))
        }
        try add(
            file, as: blob.isWithdrawn ? .withdrawn : blob.isReferenced ? .referenced : .unreferenced, at: place)
    }
}

extension LocalBlobs {
    /// nil when there is no regular file.
    func fileStatus(at place: StoredItem.Place) -> stat? {
        var status = stat()
        guard let path = path(at: place), lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            return nil
        }
        return status
    }

    /// nil of a row, which is in the database.
    func path(at place: StoredItem.Place) -> String? {
        switch place {
        case .visible(let digest): path(digest)
        case .hidden(let digest): hiddenPath(digest)
        case .trash(let digest): path(digest, on: .trash)
        case .path(let path): "\(directory)/\(path)"
        case .row: nil
        }
    }
}
