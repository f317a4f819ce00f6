import Glibc
public import ShaCache
import System

/// Withdrawn blobs lie beside the others, where no reader looks.
///
///     DIRECTORY/withdrawn/3f9a…
extension LocalBlobs {
    func hiddenPath(_ digest: Digest) -> String { "\(withdrawn)/\(digest)" }

    /// Takes a blob out of readers' sight, and after this returns it stays so in a crash. It may be hidden already, or
    /// not be there at all.
    func hide(_ digest: Digest) throws(StoreError) { _ = try move(digest, from: visible(digest), to: hidden) }

    /// Shows a hidden blob again.
    ///
    /// - Returns: false when there is none.
    func restore(_ digest: Digest) throws(StoreError) -> Bool { try move(digest, from: hidden, to: visible(digest)) }

    /// A directory, and its name in messages.
    private typealias Place = (path: String, name: String)

    private var hidden: Place { (withdrawn, "the withdrawn blobs") }

    private func visible(_ digest: Digest) -> Place { (shelf(digest), "the store") }

    /// Also what was moved before is made durable: a crash may have come between.
    private func move(_ digest: Digest, from source: Place, to target: Place) throws(StoreError) -> Bool {
        let flags = O_DIRECTORY | O_NOFOLLOW
        let rename = try asStoreError(
            try DurableRename(
                from: Descriptor(source.path, flags: flags, named: source.name),
                to: Descriptor(target.path, flags: flags, named: target.name)))
        // Both are there after a restore, or an upload of what is hidden: then the one that is intact must stay. They
        // are read in no other case: a request that is refused must not cost that.
        let (old, new) = ("\(source.path)/\(digest)", "\(target.path)/\(digest)")
        let isNeedless = isFile(old) ? try verifiedPresence(of: digest, at: new) == .intact : false
        if isNeedless { try asStoreError(try systemCall("move a blob") { unlink(old) }) }
        let isMoved = try notingFailedSynchronization { () throws(SystemError) in
            try rename.moveIfThere("\(digest)", to: "\(digest)")
        }
        return isNeedless || isMoved
    }

    /// Whether something of that name lies where readers look.
    func isVisible(_ digest: Digest) -> Bool { isFile(path(digest)) }

    /// Whether something of that name lies anywhere.
    func exists(_ digest: Digest) -> Bool { isVisible(digest) || isFile(hiddenPath(digest)) }

    /// Without AT_EACCESS, capabilities that lead to the store don't count.
    private func isFile(_ path: String) -> Bool {
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
    func hiddenPresence(of digest: Digest) throws(StoreError) -> Presence {
        _ = try openDirectory(hidden.path, hidden.name)
        return try verifiedPresence(of: digest, at: hiddenPath(digest))
    }

    /// All of the file is read.
    ///
    /// - Parameter didRead: is told how many bytes, of each piece, and may block.
    func verifiedPresence(
        of digest: Digest, at path: String, didRead: (Int) -> Void = { _ in }
    ) throws(StoreError) -> Presence {
        try inspect(at: path) { file, _ throws(StoreError) in
            try file.digest(didRead: didRead) == digest ? .intact : Self.hasOtherBytes
        }
    }
}
