import CLinux
import Glibc
public import ShaCache
import System

extension LocalBlobs {
    /// Room on the store's file system.
    public struct Free: Sendable {
        /// The greatest number where they are not counted.
        public let bytes: Int
        /// 0 on file systems that don't count inodes.
        public let inodes: Int
        /// Of the whole file system; 0 where they are not counted.
        public let totalBytes: Int
        /// 0 on file systems that don't count inodes.
        public let totalInodes: Int
        /// Kept free for what is under way: directories grow, and nginx is receiving other bodies. One part in a
        /// hundred, at most 1 GiB.
        public let reservedBytes: Int
        /// One part in a hundred. 0 on file systems that don't count inodes.
        let reservedInodes: Int

        /// These numbers are a file system's own, and any of 64 bits: CephFS has 2^64-1 free inodes, beside a smaller
        /// number of files; a file system in user space that answers nothing at all has no blocks.
        init(_ status: statvfs) {
            let countsInodes = status.f_files > 0 && status.f_favail <= status.f_files
            inodes = countsInodes ? Int(clamping: status.f_favail) : 0
            totalInodes = countsInodes ? Int(clamping: status.f_files) : 0
            reservedInodes = totalInodes / 100
            totalBytes = Self.bytes(status.f_blocks, of: status.f_frsize)
            bytes = totalBytes == 0 ? .max : Self.bytes(status.f_bavail, of: status.f_frsize)
            reservedBytes = min(totalBytes / 100, 1 << 30)
        }

        private static func bytes(_ blocks: UInt, of size: UInt) -> Int {
            let (bytes, isTooMany) = blocks.multipliedReportingOverflow(by: size)
            return isTooMany ? .max : Int(clamping: bytes)
        }

        func hasRoom(for bytes: Int) -> Bool { self.bytes - bytes >= reservedBytes && inodes >= reservedInodes }
    }

    public func free() throws(StoreError) -> Free {
        var status = statvfs()
        try asStoreError(
            try systemCall("look at the store's free space") { statvfs(incoming, &status) })
        return Free(status)
    }

    /// Calls `body` with a blob's file, which is open as long as that runs.
    ///
    /// - Returns: nil when no such file can be opened.
    public func withFile<Result>(of digest: Digest, _ body: (CInt) throws -> Result) rethrows -> Result? {
        guard let file = try? Descriptor(inStore: path(digest), named: "a blob") else { return nil }
        return try body(file.number)
    }

    /// Reads a blob's whole file: whether its SHA-512 is its name.
    public func isAsStored(_ digest: Digest) -> Bool {
        guard let file = try? Descriptor(inStore: path(digest), named: "a blob") else { return false }
        return (try? file.digest()) == digest
    }
}

extension LocalBlobs {
    /// Where a body lies.
    ///
    /// - Parameter name: as nginx passes it. Whatever the store is called there, it is in a host's spool, also another
    ///   one's than this host's, as in containers of their own; or in `incoming` itself, which older sites'
    ///   configurations name for all.
    func place(ofBody name: String) -> String {
        let parts = name.split(separator: "/").suffix(3)
        // A store that is called `incoming` itself has an older site's bodies in `incoming/incoming`.
        guard parts.count == 3, parts.first == "incoming", let host = parts.dropFirst().first,
            !["..", "incoming"].contains(host), let file = parts.last
        else { return "\(incoming)/\(parts.last ?? "")" }
        return "\(incoming)/\(host)/\(file)"
    }

    /// Removes the bodies that a killed nginx or worker left: in this host's spool what no process has open, and
    /// elsewhere what is old. What another host has open, only that host's kernel knows.
    ///
    /// - Returns: how many were removed; 0 while another worker is at it.
    public func sweep() throws -> Int {
        try locking(spool, "the spool") {
            var removed = 0
            try forEachBody { name, status, directory, isOurs in
                let isRemoved =
                    isOurs && (status.isOld || !String(cString: name).hasPrefix(Self.fetchedPrefix))
                    ? removeIfAbandoned("\(spool)/\(String(cString: name))")
                    : status.isOld && unlinkat(directory.number, name, 0) == 0
                if isRemoved { removed += 1 }
            }
            return removed
        } ?? 0
    }

    /// Of what came of a blob that is fetched: the next try goes on with it, also after a restart.
    static let fetchedPrefix = "fetched-"

    /// Removes one body that is old, as `sweep` does.
    ///
    /// - Parameter name: from the store's directory on.
    func sweep(_ name: String) throws -> Bool {
        let path = "\(directory)/\(name)"
        return try locking(spool, "the spool") {
            path.hasPrefix("\(spool)/") ? removeIfAbandoned(path) : unlink(path) == 0
        } ?? false
    }

    /// One sweep at a time: opening a file that another has leased would wait for it, and startle it with a SIGIO. And
    /// one repair.
    ///
    /// - Returns: nil while another process has the directory locked.
    func locking<Result>(_ directory: String, _ name: String, _ body: () throws -> Result) throws -> Result? {
        let lock = try openDirectory(directory, name)
        guard flock(lock.number, LOCK_EX | LOCK_NB) == 0 else { return nil }
        defer { flock(lock.number, LOCK_UN) }
        return try body()
    }

    /// What lies in the spools: bodies that are being received or stored, and leftovers.
    public struct Spool: Sendable {
        public internal(set) var files = 0
        public internal(set) var bytes = 0
        /// The oldest modification time, in seconds since 1970.
        public internal(set) var oldest: Int?
    }

    public func spooled() throws -> Spool {
        var spool = Spool()
        try forEachBody { _, status, _, _ in
            spool.files += 1
            spool.bytes += Int(status.st_size)
            spool.oldest = min(spool.oldest ?? .max, Int(status.st_mtim.tv_sec))
        }
        return spool
    }

    /// One that is gone meanwhile was stored, and is left out.
    private func forEachBody(
        _ body: (UnsafePointer<CChar>, stat, _ directory: Directory, _ isOurs: Bool) throws -> Void
    ) throws {
        guard let all = try Directory(inStore: incoming) else { throw StoreError(.broken, "there is no spool") }
        try all.forEachItem { name, status in
            if status.isOrdinary { try body(name, status, all, false) }
            guard let spool = try all.subdirectory(name) else { return }
            let isOurs = String(cString: name) == host
            try spool.forEachItem { name, status in
                if status.isOrdinary { try body(name, status, spool, isOurs) }
            }
        }
    }

    /// Whether no request can have written to a body any more: the deployed clients give up after one hour.
    ///
    /// - Parameter modified: in seconds since 1970.
    static func isOld(modified: Int) -> Bool { modified < time(nil) - 24 * 3600 }

    /// nginx keeps a body open until its request has ended, so a file that no process has open belongs to no request.
    /// The kernel knows: it grants a write lease only on such a file (fcntl(2), F_SETLEASE), and a process that opens
    /// it then waits until this is done. Where it grants none at all, as on NFS, age decides.
    private func removeIfAbandoned(_ path: String) -> Bool {
        guard let file = try? Descriptor(inStore: path, named: "a leftover"), let status = try? file.status(),
            status.isOrdinary
        else { return false }
        return file.isOpenElsewhere ?? !status.isOld ? false : unlink(path) == 0
    }

    /// Whether some process reads a blob at this moment, as far as the kernel tells it.
    func isBeingRead(_ digest: Digest) -> Bool {
        guard let file = try? Descriptor(inStore: path(digest), named: "a blob") else { return false }
        return file.isOpenElsewhere ?? false
    }
}

extension Descriptor {
    /// Whether another process has the file open, or this one a second time; nil where no lease is granted at all. Whoever
    /// opens it from here on waits until this is closed.
    fileprivate var isOpenElsewhere: Bool? {
        if fcntl(number, f_setlease, Int32(F_WRLCK)) == 0 { return false }
        return errno == EAGAIN ? true : nil
    }
}

extension stat {
    fileprivate var isOrdinary: Bool { st_mode & S_IFMT == S_IFREG }

    fileprivate var isOld: Bool { LocalBlobs.isOld(modified: Int(st_mtim.tv_sec)) }
}
