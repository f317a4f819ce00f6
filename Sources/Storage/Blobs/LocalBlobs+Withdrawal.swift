import Glibc
public import ShaCache
import System

/// Withdrawn blobs lie beside the others, where nobody is served from.
///
///     DIRECTORY/withdrawn/3f9a…
extension LocalBlobs {
    private func hiddenPath(_ digest: Digest) -> String { "\(withdrawn)/\(digest)" }

    /// Takes a blob out of readers' sight, and after this returns it stays so in a crash. It may be hidden already, or
    /// not be there at all.
    func hide(_ digest: Digest) throws(StoreError) {
        _ = try move(digest, from: path(digest), to: hiddenPath(digest))
    }

    /// Shows a hidden blob again.
    ///
    /// - Returns: false when there is none.
    func restore(_ digest: Digest) throws(StoreError) -> Bool {
        try move(digest, from: hiddenPath(digest), to: path(digest))
    }

    private func move(_ digest: Digest, from old: String, to new: String) throws(StoreError) -> Bool {
        // Opened first: where a directory is missing, rename would say the same as where the file is.
        let hidden = try openDirectory(withdrawn, "the withdrawn blobs")
        let shelf = try openDirectory(shelf(digest), "the store")
        // Both are there after a restore, or an upload of what is hidden: then the one that is intact must stay. Only
        // then they are read: a request that is refused must not cost that.
        let isNeedless = exists(old) ? try presence(of: digest, at: new) == .intact : false
        let isThere = (isNeedless ? unlink(old) : rename(old, new)) == 0
        guard isThere || errno == ENOENT else { throw StoreError(SystemError("move a blob")) }
        // Also of what was moved before: a crash may have come between, and nothing has made that durable.
        try synchronize(hidden)
        try synchronize(shelf)
        return isThere
    }

    /// Whether something of that name lies where readers look.
    func isVisible(_ digest: Digest) -> Bool { exists(path(digest)) }

    /// Whether something of that name lies anywhere.
    func exists(_ digest: Digest) -> Bool { isVisible(digest) || exists(hiddenPath(digest)) }

    /// Without AT_EACCESS, capabilities that lead to the store don't count.
    private func exists(_ path: String) -> Bool {
        faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW | AT_EACCESS) == 0
    }

    /// The blobs whose files are hidden.
    public func hiddenBlobs() throws -> [Digest] {
        guard let directory = try Directory(inStore: withdrawn) else {
            throw StoreError(.broken, "there are no withdrawn blobs")
        }
        var digests: [Digest] = []
        try directory.forEachItem { name, _ in
            if let digest = Digest(String(cString: name)) { digests.append(digest) }
        }
        return digests
    }

    /// What a hidden file's bytes are.
    func presence(ofHidden digest: Digest) throws(StoreError) -> Presence {
        _ = try openDirectory(withdrawn, "the withdrawn blobs")
        return try presence(of: digest, at: hiddenPath(digest))
    }

    /// All of the file is read.
    private func presence(of digest: Digest, at path: String) throws(StoreError) -> Presence {
        try presence(at: path) { file, _ throws(StoreError) in
            try file.digest() == digest ? .intact : .damaged("has other bytes than its name says")
        }
    }
}
