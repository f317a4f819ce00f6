import Glibc
public import ShaCache

/// Withdrawn blobs lie beside the others, where nobody is served from.
///
///     DIRECTORY/withdrawn/3f9a…
extension BlobStore {
    private func hiddenPath(_ digest: Digest) -> String { "\(withdrawn)/\(digest)" }

    /// Takes a blob out of readers' sight, and after this returns it stays so in a crash. It may be hidden already, or
    /// not be there at all.
    func hide(_ digest: Digest) throws(StoreError) {
        _ = try move(digest, from: path(digest), to: hiddenPath(digest))
    }

    /// Shows a hidden blob again.
    ///
    /// - Returns: false when there is none.
    func putBack(_ digest: Digest) throws(StoreError) -> Bool {
        try move(digest, from: hiddenPath(digest), to: path(digest))
    }

    private func move(_ digest: Digest, from old: String, to new: String) throws(StoreError) -> Bool {
        // Opened first: where a directory is missing, rename would say the same as where the file is.
        let hidden = try FileHandle(opening: withdrawn, flags: O_DIRECTORY, as: "open the withdrawn blobs")
        let shelf = try FileHandle(opening: shelf(digest), flags: O_DIRECTORY, as: "open the store")
        let isThere = rename(old, new) == 0
        guard isThere || errno == ENOENT else { throw StoreError("move a blob") }
        try synchronize(hidden)
        try synchronize(shelf)
        return isThere
    }

    /// The blobs whose files are hidden.
    public func hiddenBlobs() throws(StoreError) -> [Digest] {
        guard let stream = opendir(withdrawn) else { throw StoreError("read the withdrawn blobs") }
        defer { closedir(stream) }
        var digests: [Digest] = []
        while let item = readdir(stream) {
            let name = withUnsafeBytes(of: item.pointee.d_name) { Array($0.prefix { $0 != 0 }) }
            if let digest = Digest(hex: name) { digests.append(digest) }
        }
        return digests
    }

    /// What a hidden file's bytes are.
    func presence(ofHidden digest: Digest) throws(StoreError) -> Presence {
        _ = try FileHandle(opening: withdrawn, flags: O_DIRECTORY, as: "open the withdrawn blobs")
        let file: FileHandle
        do {
            file = try FileHandle(opening: hiddenPath(digest), as: "can't be opened")
        } catch {
            guard error.code == ENOENT else { return .damaged(error.description) }
            return .absent
        }
        return try file.digest() == digest ? .intact : .damaged("has other bytes than its name says")
    }
}
