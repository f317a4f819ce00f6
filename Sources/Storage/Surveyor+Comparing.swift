import Glibc
import ShaCache

extension Surveyor {
    /// - Parameter files: what lies on the shelf. What the catalog doesn't know is left there, and then added.
    mutating func compareShelf(_ shelf: UInt8, _ files: inout [Digest: StoredFile]) throws {
        var absent: [CataloguedBlob] = []
        try catalog.forEachBlob(on: shelf) { blob in
            if let file = files.removeValue(forKey: blob.digest) {
                try addShown(file, of: blob)
            } else if !blob.isWithdrawn {
                absent.append(blob)
            }
        }
        for blob in absent { try lookAgain(for: blob, at: place(of: blob.digest)) }
        for (digest, file) in files { addWithoutRow(file, path: place(of: digest)) }
    }

    /// A file that was hidden since its shelf was read is met again where it lies now.
    private mutating func addShown(_ file: StoredFile, of blob: CataloguedBlob) throws {
        let path = place(of: blob.digest)
        guard blob.isWithdrawn else { return add(file, of: blob, at: path) }
        if try catalog.isExposed(blob.digest, in: store) { survey.add(file, as: .exposed, name: path) }
    }

    /// - Parameter files: the bytes of withdrawn blobs.
    mutating func compareWithdrawn(_ files: inout [Digest: StoredFile]) throws {
        var absent: [CataloguedBlob] = []
        try catalog.forEachWithdrawnBlob { blob in
            if let file = files.removeValue(forKey: blob.digest) {
                add(file, of: blob, at: hiddenPlace(of: blob.digest))
            } else {
                absent.append(blob)
            }
        }
        for blob in absent { try lookAgain(for: blob, at: hiddenPlace(of: blob.digest)) }
        for (digest, file) in files {
            if try catalog.isWithdrawn(digest) == nil {
                addWithoutRow(file, path: hiddenPlace(of: digest))
            } else {
                // A withdrawal moves the file before its row says so.
                survey.add(file, as: .withdrawn, name: "")
            }
        }
    }

    /// For one whose file was not there when the directory was read: it may have been uploaded, withdrawn or shown
    /// again since then.
    private mutating func lookAgain(for blob: CataloguedBlob, at path: String) throws {
        if let file = lookAt(path) {
            add(file, of: blob, at: path)
        } else if lies(at: place(of: blob.digest)) || lies(at: hiddenPlace(of: blob.digest)) {
            // On its way from one to the other; or a crash left it there, where it is counted as well.
            return
        } else if try catalog.isWithdrawn(blob.digest) == blob.isWithdrawn {
            survey.addDangling(blob.digest, bytes: blob.size)
        }
    }

    private func lies(at path: String) -> Bool { status(path) != nil }

    private mutating func lookAt(_ path: String) -> StoredFile? { status(path).map { watcher.facts($0) } }

    /// nil when no ordinary file is there.
    private func status(_ path: String) -> stat? {
        var status = stat()
        guard lstat("\(store.directory)/\(path)", &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return nil }
        return status
    }

    /// Below the store's directory.
    private func place(of digest: Digest) -> String { "blobs/\(BlobStore.place(of: digest))" }

    private func hiddenPlace(of digest: Digest) -> String { "withdrawn/\(digest)" }

    private mutating func add(_ file: StoredFile, of blob: CataloguedBlob, at path: String) {
        guard file.bytes == blob.size else {
            return survey.add(
                file, as: .damaged, name: path, detail: "has \(file.bytes) bytes, and was stored with \(blob.size)")
        }
        survey.add(
            file, as: blob.isWithdrawn ? .withdrawn : blob.isReferenced ? .referenced : .unreferenced, name: path)
    }
}
