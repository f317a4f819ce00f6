import CLinux
import Glibc
public import ShaCache
import System

/// A request body on its way to become a blob: in the spool, complete, and not yet anything that was acknowledged.
public struct SpooledBody: ~Copyable, Sendable {
    let path: String
    let handle: Descriptor
    private let store: LocalBlobs
    private let isOurs: Bool
    /// Open as long as this is.
    public var descriptor: CInt { handle.number }

    /// - Parameter name: of the file that nginx wrote: it lies in a spool or nowhere.
    public init(named name: String, in store: LocalBlobs) throws(StoreError) {
        path = store.place(ofBody: name)
        handle = try Descriptor(inStore: path, named: "the request body in the spool")
        self.store = store
        isOurs = false
    }

    /// A new, empty file: nginx writes none for an empty body, and an import has no nginx.
    public init(creatingIn store: LocalBlobs) throws(StoreError) {
        path = "\(store.spool)/worker-\(getpid())-\(UInt64.random(in: 0 ... .max))"
        let file = try Descriptor(
            inStore: path, flags: O_RDWR | O_CREAT | O_EXCL, mode: 0o600, named: "a file in the spool")
        // Root's would be closed to the workers and to nginx, which serve what becomes of it.
        if geteuid() == 0 { try file.takeOwner(of: store.spool) }
        handle = file
        self.store = store
        isOurs = true
    }

    /// What has come of a blob that is fetched, which may be some of it: so much lies there of an earlier try.
    ///
    /// - Parameter source: the name of the upstream that it comes from.
    public init(of digest: Digest, from source: String, in store: LocalBlobs) throws(StoreError) {
        path = Self.path(of: digest, from: source, in: store)
        var status = stat()
        if lstat(path, &status) == 0, status.kind == S_IFREG, status.st_nlink == 1 {
            // What was received whole is sealed, and its owner may not open it either.
            chmod(path, 0o600)
        } else {
            // With a second name it may be a blob already: a crash kept this one.
            unlink(path)
        }
        handle = try Descriptor(
            inStore: path, flags: O_RDWR | O_CREAT | O_APPEND, mode: 0o600, named: "a file in the spool")
        self.store = store
        isOurs = true
    }

    /// Removes what came of a blob from these upstreams, now that it is here.
    public static func discard(of digest: Digest, from sources: [String], in store: LocalBlobs) {
        for source in sources { unlink(path(of: digest, from: source, in: store)) }
    }

    private static func path(of digest: Digest, from source: String, in store: LocalBlobs) -> String {
        "\(store.spool)/\(LocalBlobs.fetchedPrefix)\(source)-\(digest)"
    }

    /// Throws away what is there.
    public func clear() throws(StoreError) { try asStoreError(try handle.truncate(to: 0)) }

    /// Reads some bytes from an offset on; 0 at the end.
    public func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws(StoreError) -> Int {
        try asStoreError(try handle.read(at: offset, into: buffer))
    }

    /// Adds bytes behind those that were written before.
    public func append(_ bytes: UnsafeRawBufferPointer) throws(StoreError) {
        try asStoreError(try handle.writeAll(bytes))
    }

    /// In bytes.
    public func size() throws(StoreError) -> Int { try asStoreError(try handle.size()) }

    /// Removes the name of a file that we made; a blob made of it stays. What nginx made is nginx's to remove: after a
    /// restart it may have given the same name to another body.
    public func discard() {
        if isOurs { unlink(path) }
    }

    /// Writes on behind what is there; good as long as this is.
    var appending: (UnsafeRawBufferPointer) throws -> Void {
        let number = descriptor
        return { try asStoreError(try writeAll($0, to: number, named: "a file in the spool")) }
    }

    /// The SHA-512 of the bytes as they lie on the disk, which is what will be served.
    public func digest() throws(StoreError) -> Digest { try handle.digest() }

    /// The bytes, for a body that is known to be small.
    public func contents() throws(StoreError) -> [UInt8] {
        try asStoreError(try handle.contents())
    }

    /// Makes the bytes and their recorded size survive a crash, and the file read-only.
    ///
    /// - Parameter hashed: how many bytes there were when they were hashed.
    public func seal(_ hashed: Int) throws(StoreError) {
        guard try size() == hashed else { throw StoreError(.broken, "the request body changed while it was read") }
        handle.setStoredSize(hashed)
        try asStoreError(try handle.changeMode(0o440))
        try store.synchronize(handle)
    }
}

/// The attribute that holds, in decimal, the size in bytes with which a blob was stored.
private let sizeAttribute = "user.shacache.size"

extension Descriptor {
    /// nil when the attribute is absent, or the file system has none.
    var storedSize: Int? {
        withUnsafeTemporaryAllocation(byteCount: 20, alignment: 1) { buffer in
            let count = fgetxattr(number, sizeAttribute, buffer.baseAddress, buffer.count)
            guard count > 0 else { return nil }
            return Int(String(decoding: buffer[..<count], as: UTF8.self))
        }
    }

    fileprivate func takeOwner(of directory: String) throws(StoreError) {
        let status = try asStoreError(try Descriptor(directory, flags: O_DIRECTORY, named: "the spool").status())
        try asStoreError(
            try systemCall("change the owner of a file in the spool") { fchown(number, status.st_uid, status.st_gid) })
    }

    /// Whether the file system has attributes at all.
    var canStoreSize: Bool { fgetxattr(number, sizeAttribute, nil, 0) >= 0 || errno != ENOTSUP }

    /// Without attributes in the file system, readers ask the database; so failing is no error.
    func setStoredSize(_ size: Int) {
        let text = String(size)
        _ = fsetxattr(number, sizeAttribute, text, text.utf8.count, 0)
    }
}
