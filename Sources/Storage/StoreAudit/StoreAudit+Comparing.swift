import Glibc
import ShaCache

extension StoreAudit {
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
        for blob in absent { try lookUpAgain(for: blob, at: path(of: blob.digest)) }
        for (digest, file) in files { addWithoutRow(file, path: path(of: digest)) }
    }

    /// A file that was hidden since its shelf was read is counted where it lies now.
    private mutating func addVisible(_ file: StoredFile, of blob: BlobRow) throws {
        let path = self.path(of: blob.digest)
        guard blob.isWithdrawn else { return addBlob(file, of: blob, at: path) }
        if try blobs.isWronglyVisibleNow(blob.digest) { report.add(file, as: .exposed, name: path) }
    }

    /// - Parameter files: the bytes of withdrawn blobs.
    mutating func compareWithdrawn(_ files: inout [Digest: StoredFile]) throws {
        var absent: [BlobRow] = []
        try rows.forEachWithdrawnBlob { blob in
            if let file = files.removeValue(forKey: blob.digest) {
                addBlob(file, of: blob, at: hiddenPath(of: blob.digest))
            } else {
                absent.append(blob)
            }
        }
        for blob in absent { try lookUpAgain(for: blob, at: hiddenPath(of: blob.digest)) }
        for (digest, file) in files {
            if try rows.isWithdrawn(digest) == nil {
                addWithoutRow(file, path: hiddenPath(of: digest))
            } else {
                // A withdrawal moves the file before it commits its row.
                report.add(file, as: .withdrawn, name: "")
            }
        }
    }

    /// For a blob whose file was not there when the directory was read: it may have been uploaded, withdrawn or
    /// restored since then.
    private mutating func lookUpAgain(for blob: BlobRow, at path: String) throws {
        if let file = existingFile(at: path) {
            addBlob(file, of: blob, at: path)
        } else if exists(at: self.path(of: blob.digest)) || exists(at: hiddenPath(of: blob.digest)) {
            // Being moved from one to the other; or a crash left it there, where it is counted as well.
            return
        } else if try rows.isWithdrawn(blob.digest) == blob.isWithdrawn {
            report.addDangling(blob.digest, bytes: blob.size)
        }
    }

    private func exists(at path: String) -> Bool { fileStatus(path) != nil }

    private mutating func existingFile(at path: String) -> StoredFile? { fileStatus(path).map { links.facts($0) } }

    /// nil when there is no regular file.
    private func fileStatus(_ path: String) -> stat? {
        var status = stat()
        guard lstat("\(store.directory)/\(path)", &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return nil }
        return status
    }

    /// Relative to the store's directory.
    private func path(of digest: Digest) -> String { "blobs/\(LocalBlobs.place(of: digest))" }

    private func hiddenPath(of digest: Digest) -> String { "withdrawn/\(digest)" }

    private mutating func addBlob(_ file: StoredFile, of blob: BlobRow, at path: String) {
        guard file.bytes == blob.size else {
            return report.add(
                file, as: .damaged, name: path, detail: "has \(file.bytes) bytes, and was stored with \(blob.size)")
        }
        report.add(
            file, as: blob.isWithdrawn ? .withdrawn : blob.isReferenced ? .referenced : .unreferenced, name: path)
    }
}
