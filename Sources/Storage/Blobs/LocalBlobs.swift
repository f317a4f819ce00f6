import Glibc
public import ShaCache
import Synchronization
import System

/// The bytes of all blobs, in files named for their digest, and the spools into which nginx writes request bodies.
///
///     DIRECTORY/blobs/3f/3f9a…   the blobs, below the first two digits of their name
///     DIRECTORY/withdrawn/3f9a…  those that were withdrawn
///     DIRECTORY/quarantine/3f9a… files that were found damaged
///     DIRECTORY/trash/3f9a…      those that a collection removed, for a while
///     DIRECTORY/journal/          what only the database knows (`Journal`)
///     DIRECTORY/incoming/HOST/    the client_body_temp_path of that host's nginx, on the same file system
///     DIRECTORY/restoring         while a restore isn't through
///
/// Shared by all threads, which the kernel keeps in order; in memory they share only whether an fsync has failed, and the
/// journal's file.
public final class LocalBlobs: Sendable {
    let directory: String
    /// As the kernel names it, and `hostname`.
    public let host: String
    private let hasFailedToSynchronize = Atomic(false)
    let journalQueue = JournalQueue()

    /// - Parameter host: whose spool is swept; nil is this one.
    public init(directory: String, host: String? = nil) {
        self.directory = directory
        self.host = host ?? nodeName
    }

    /// Of all hosts that share the store.
    var incoming: String { "\(directory)/incoming" }

    /// This host's: no other one sweeps it.
    var spool: String { "\(incoming)/\(host)" }

    var withdrawn: String { "\(directory)/withdrawn" }

    /// Where a blob lies below the directory of blobs, which nginx knows as its root.
    public static func place(of digest: Digest) -> String { "\(digest.description.prefix(2))/\(digest)" }

    /// Below the store's directory.
    var shelves: [String] { (UInt8.min...UInt8.max).map { "blobs/\(hex([$0]))" } }

    func shelf(_ digest: Digest) -> String { "\(directory)/blobs/\(digest.description.prefix(2))" }

    func path(_ digest: Digest) -> String { "\(directory)/blobs/\(Self.place(of: digest))" }

    /// Makes the directories that are missing. A shelf that is made ahead needs no fsync of its parent at an upload.
    public func prepare() throws(StoreError) {
        try makeDirectory(directory)
        for name in ["blobs"] + neededDirectories { try makeDirectory("\(directory)/\(name)") }
        for name in ["/blobs", ""] {
            let opened = try openDirectory(directory + name, "the store")
            try asStoreError(try opened.synchronize())
        }
    }

    func makeDirectory(_ path: String) throws(StoreError) {
        guard mkdir(path, 0o750) != 0, errno != EEXIST else { return }
        throw StoreError(SystemError("make a directory of the store"))
    }

    func openDirectory(_ path: String, _ name: String) throws(StoreError) -> Descriptor {
        try Descriptor(inStore: path, flags: O_DIRECTORY, named: name)
    }

    // MARK: Reading

    public enum Presence: Equatable, Sendable {
        case intact
        case absent
        /// The file was truncated, appended to or made unreadable. The text describes how.
        case damaged(String)
        /// The file does not know the size that it should have: it came back from a backup without its attributes,
        /// or lies on a file system that has none.
        case unconfirmed(size: Int)
    }

    /// Whether a blob can be served, without asking the database.
    public func presence(of digest: Digest) throws(StoreError) -> Presence {
        try inspect(at: path(digest)) { file, size throws(StoreError) in
            guard let stored = file.storedSize else { return .unconfirmed(size: size) }
            return stored == size ? .intact : .damaged(Self.damage(size: size, stored: stored))
        }
    }

    /// - Parameter judge: decides about an ordinary file of that size.
    func inspect(
        at path: String, judge: (borrowing Descriptor, Int) throws(StoreError) -> Presence
    ) throws(StoreError) -> Presence {
        do {
            // Not to be held up by what isn't a file.
            let file = try Descriptor(inStore: path, flags: O_RDONLY | O_NONBLOCK, named: "a blob")
            let status = try asStoreError(try file.status())
            guard status.kind == S_IFREG else { return .damaged("is not an ordinary file") }
            return try judge(file, Int(status.st_size))
        } catch {
            guard let cause = error.cause, cause.isOfOpening else { throw error }
            // What a worker may not read, its clients can't have.
            if [EACCES, EPERM].contains(cause.code) { return .damaged("can't be opened: \(cause.reason)") }
            return try Presence(ofUnreadable: cause)
        }
    }

    static func damage(size: Int, stored: Int) -> String { "has \(size) bytes, and was stored with \(stored)" }

    /// Judges a file that `presence` called unconfirmed: what came from a backup is hashed once, and then its size is
    /// written down. A file system without attributes could not remember that it was, so there the size must do.
    ///
    /// - Parameters:
    ///   - stored: how many bytes were acknowledged.
    ///   - didRead: is told how many bytes, of each piece, and may block.
    public func confirmSize(
        of digest: Digest, size: Int, stored: Int, didRead: (Int) -> Void = { _ in }
    ) throws(StoreError) -> Presence {
        guard size == stored else { return .damaged(Self.damage(size: size, stored: stored)) }
        let file = try Descriptor(inStore: path(digest), named: "a blob")
        guard file.canStoreSize else { return .intact }
        guard try file.digest(didRead: didRead) == digest else { return Self.hasOtherBytes }
        // Writing an attribute takes the write bit (xattr(7)), which a sealed blob lacks.
        fchmod(file.number, 0o640)
        defer { fchmod(file.number, 0o440) }
        file.setStoredSize(size)
        return .intact
    }

    /// Size, in bytes, and time of storing, in seconds since 1970, as nginx sends them with a download; nil when the
    /// blob isn't there.
    public func attributes(of digest: Digest) -> (size: Int, modified: Int)? {
        var status = stat()
        guard stat(path(digest), &status) == 0 else { return nil }
        return (Int(status.st_size), status.st_mtim.tv_sec)
    }

    // MARK: Writing

    /// Makes a sealed file visible under its digest: readers see all of it or nothing, and after this returns the
    /// name survives a crash.
    ///
    /// - Parameter descriptor: of the file.
    func linkDurably(_ descriptor: CInt, as digest: Digest) throws(StoreError) {
        try link(descriptor, as: digest)
        try synchronizeShelf(of: digest)
    }

    /// A file that already has the name is replaced by these bytes, which were just verified: that is what heals a
    /// damaged one, and no look at the old file could be trusted as much.
    func link(_ descriptor: CInt, as digest: Digest) throws(StoreError) {
        do throws(StoreError) { try link(descriptor, at: path(digest)) } catch {
            guard error.cause?.code == ENOENT else { throw error }
            try makeShelf(of: digest)
            try link(descriptor, at: path(digest))
        }
    }

    func link(_ descriptor: CInt, at path: String) throws(StoreError) {
        guard !link(descriptor, to: path) else { return }
        guard errno == EEXIST else { throw Self.linkError() }
        try replace(path, by: descriptor)
    }

    /// What was hashed is what is linked: by its open file, since its name in the spool is nginx's to reuse.
    private func link(_ descriptor: CInt, to path: String) -> Bool {
        linkat(AT_FDCWD, "/proc/self/fd/\(descriptor)", AT_FDCWD, path, AT_SYMLINK_FOLLOW) == 0
    }

    private static func linkError() -> StoreError { StoreError(SystemError("link the upload")) }

    private func replace(_ path: String, by descriptor: CInt) throws(StoreError) {
        let own = "\(spool)/publish-\(getpid())-\(UInt64.random(in: 0 ... .max))"
        guard link(descriptor, to: own) else { throw Self.linkError() }
        // It is still there when both names are the same file already: then rename(2) does nothing.
        defer { unlink(own) }
        guard rename(own, path) != 0 else { return }
        // A directory: put right what a hand has done to the store, as far as no bytes are lost by it.
        guard errno == EISDIR else { throw StoreError(SystemError("rename the upload")) }
        rmdir(path)
        try asStoreError(try systemCall("rename the upload") { rename(own, path) })
    }

    /// Makes a shelf that was removed.
    private func makeShelf(of digest: Digest) throws(StoreError) {
        try makeDirectory(shelf(digest))
        try synchronize(openDirectory("\(directory)/blobs", "the store"))
    }

    /// Removes a blob's file for good, and after this returns it stays so in a crash.
    func removeDurably(_ digest: Digest) throws(StoreError) {
        try asStoreError(try systemCall("remove a blob") { unlink(path(digest)) == 0 || errno == ENOENT ? 0 : -1 })
        try synchronizeShelf(of: digest)
    }

    /// Makes the names of a blob's shelf survive a crash.
    func synchronizeShelf(of digest: Digest) throws(StoreError) {
        try synchronize(openDirectory(shelf(digest), "the store"))
    }

    /// Never tried again after a failure: Linux then forgets which pages were not written, and a second fsync
    /// succeeds without them. So no upload is acknowledged until the workers are started again; nor does an fsync count
    /// that succeeds after another one failed, which may have been of the same directory.
    func synchronize(_ file: borrowing Descriptor) throws(StoreError) {
        try notingFailedSynchronization { () throws(SystemError) in try file.synchronize() }
        try requireSynchronized()
    }

    func requireSynchronized() throws(StoreError) {
        guard !isReadOnly else { throw StoreError(.readOnly, "the store takes no uploads since an fsync failed") }
    }

    /// The same, for what synchronizes among other things.
    func notingFailedSynchronization<Result>(_ body: () throws(SystemError) -> Result) throws(StoreError) -> Result {
        do throws(SystemError) {
            return try body()
        } catch {
            if error.isOfSynchronizing { hasFailedToSynchronize.store(true, ordering: .relaxed) }
            throw StoreError(error)
        }
    }

    /// Whether this process takes no uploads since an fsync of its own failed.
    public var isReadOnly: Bool { hasFailedToSynchronize.load(ordering: .relaxed) }

    /// - Throws: `StoreError` when an upload of so many bytes can't be taken now.
    public func admit(bytes: Int) throws(StoreError) {
        try requireSynchronized()
        guard try free().hasRoom(for: bytes) else {
            throw StoreError(.noSpace, "the store has no room for the upload")
        }
    }

    /// Writes, synchronises and removes a file, and looks at every shelf: what an upload will need.
    public func probe() throws {
        try admit(bytes: 0)
        try checkShelves()
        let file = try SpooledBody(creatingIn: self)
        defer { file.discard() }
        try synchronize(file.handle)
    }

    /// Looks at every shelf.
    public func checkShelves() throws(StoreError) {
        for shelf in shelves {
            // Without AT_EACCESS, capabilities that lead to the store don't count.
            try asStoreError(
                try systemCall("use \(shelf)") {
                    faccessat(AT_FDCWD, "\(directory)/\(shelf)", R_OK | W_OK | X_OK, AT_EACCESS)
                })
        }
    }
}
