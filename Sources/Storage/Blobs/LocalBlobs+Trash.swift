import CLinux
import Glibc
import ShaCache
import Synchronization
import System

/// Blobs that a collection removed lie beside the others for a while, where no reader looks.
///
///     DIRECTORY/trash/3f9a…
extension LocalBlobs {
    var trash: String { "\(directory)/\(Shelf.trash.name)" }

    /// Makes the directory in a store that is older than it.
    func prepareTrash() throws(StoreError) {
        guard problem(ofDirectory: Shelf.trash.name, try owner()) != nil else { return }
        try repairDirectory(Shelf.trash.name, owner())
    }

    /// Takes files out of readers' sight, and after this returns they stay so in a crash. One that is not there may have
    /// been moved before. Nothing is written but names: so a full disk is no hindrance, as far as the directory has room.
    ///
    /// - Parameter digests: in their order, of which one directory after the other is written to the disk, once.
    /// - Returns: how many of them were moved, and why no more, when the disk is too full for more names.
    func moveToTrash(_ digests: [Digest]) throws(StoreError) -> (count: Int, problem: StoreError?) {
        let target = try openDirectory(trash, "the trash")
        var (count, problem) = (0, StoreError?.none)
        for digest in digests {
            do throws(SystemError) {
                try systemCall("move a blob to trash") {
                    renameat(AT_FDCWD, path(digest), target.number, "\(digest)") == 0 || errno == ENOENT ? 0 : -1
                }
            } catch {
                guard error.isOutOfSpace else { throw StoreError(error) }
                problem = StoreError(error)
                break
            }
            count += 1
        }
        try synchronize(target)
        for shelf in Set(digests.prefix(count).map(\.shelf)) {
            try synchronize(openDirectory("\(directory)/\(shelf.name)", "the store"))
        }
        return (count, problem)
    }

    /// Shows a file in trash again. It is durable when this returns. All of it is read before: no scrub reads trash.
    ///
    /// - Returns: what its bytes are; only if they are intact, it is moved.
    func restoreFromTrash(_ digest: Digest) throws(StoreError) -> Presence {
        let presence = try verifiedPresence(of: digest, at: "\(trash)/\(digest)")
        guard presence == .intact else { return presence }
        let rename = try asStoreError(
            try DurableRename(
                from: Descriptor(trash, flags: O_DIRECTORY | O_NOFOLLOW, named: "the trash"),
                to: Descriptor(shelf(digest), flags: O_DIRECTORY | O_NOFOLLOW, named: "the store")))
        let isMoved = try notingFailedSynchronization { () throws(SystemError) in
            try rename.moveIfThere("\(digest)", to: "\(digest)")
        }
        return isMoved ? .intact : .absent
    }

    /// Removes files from trash for good, and after this returns they stay so in a crash. By several threads: while one
    /// waits for the file system's own record, the others free what their files had.
    func unlinkFromTrash(_ digests: [Digest]) throws {
        let opened = try openDirectory(trash, "the trash")
        let directory = opened.number
        let problem = Mutex<SystemError?>(nil)
        try concurrently(digests, threads: 4) { _, digest in
            do throws(SystemError) {
                try systemCall("remove a blob from trash") {
                    unlinkat(directory, "\(digest)", 0) == 0 || errno == ENOENT ? 0 : -1
                }
            } catch {
                problem.withLock { $0 = $0 ?? error }
            }
        }
        if let problem = problem.withLock({ $0 }) { throw StoreError(problem) }
        try synchronize(opened)
    }

    func isInTrash(_ digest: Digest) -> Bool { fileStatus(at: .trash(digest)) != nil }

    /// Calls `body` with the names in trash and when each came there, in seconds since 1970, in no order, so many at a time:
    /// there may be very many. It may move and remove them.
    func forEachInTrash(pageSize: Int, _ body: ([(digest: Digest, since: Int)]) throws -> Void) throws {
        guard let opened = try Directory(inStore: trash) else { return }
        var page: [(Digest, Int)] = []
        try opened.forEachItem { name, status in
            guard let digest = Digest(String(cString: name)) else { return }
            // A rename changes nothing but that.
            page.append((digest, status.st_ctim.tv_sec))
            guard page.count == pageSize else { return }
            try body(page)
            page = []
        }
        try body(page)
    }
}
