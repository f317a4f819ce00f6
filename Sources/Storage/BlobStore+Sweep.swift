import CLinux
import Glibc

extension BlobStore {
    /// Removes the bodies that a killed nginx or worker left in the spool.
    ///
    /// - Returns: how many were removed; 0 while another worker is at it.
    public func sweep() throws(StoreError) -> Int {
        guard let stream = opendir(incoming) else { throw StoreError("read the spool") }
        defer { closedir(stream) }
        // One at a time: opening a file that another has leased would wait for it, and startle it with a SIGIO.
        guard flock(dirfd(stream), LOCK_EX | LOCK_NB) == 0 else { return 0 }
        var removed = 0
        forEachName(in: stream) { name in
            if removeIfAbandoned("\(incoming)/\(name)") { removed += 1 }
        }
        return removed
    }

    /// What lies in the spool: bodies that are being received or stored, and leftovers.
    public struct Spool: Sendable {
        public internal(set) var files = 0
        public internal(set) var bytes = 0
        /// When the one that nobody has written to for longest was last written to, in seconds since 1970.
        public internal(set) var oldest: Int?
    }

    public func spool() throws(StoreError) -> Spool {
        guard let stream = opendir(incoming) else { throw StoreError("read the spool") }
        defer { closedir(stream) }
        var spool = Spool()
        forEachName(in: stream) { name in
            var status = stat()
            // One that is gone meanwhile was stored.
            guard fstatat(dirfd(stream), name, &status, AT_SYMLINK_NOFOLLOW) == 0, status.st_mode & S_IFMT == S_IFREG
            else { return }
            spool.files += 1
            spool.bytes += Int(status.st_size)
            spool.oldest = min(spool.oldest ?? .max, Int(status.st_mtim.tv_sec))
        }
        return spool
    }

    private func forEachName(in stream: OpaquePointer, _ body: (String) -> Void) {
        while let item = readdir(stream) {
            body(
                withUnsafeBytes(of: item.pointee.d_name) { bytes in
                    String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
                })
        }
    }

    /// nginx keeps a body open until its request has ended, so a file that nobody has open belongs to no request.
    /// The kernel knows: it grants a write lease only on such a file (fcntl(2), F_SETLEASE), and whoever opens it then
    /// waits until we are done. Where it grants none at all, as on NFS, age decides.
    private func removeIfAbandoned(_ path: String) -> Bool {
        guard let file = try? FileHandle(opening: path, as: "open a leftover"), let status = try? file.status(),
            status.st_mode & S_IFMT == S_IFREG
        else { return false }
        if fcntl(file.descriptor, f_setlease, Int32(F_WRLCK)) != 0 {
            guard errno != EAGAIN, Int(status.st_mtim.tv_sec) < time(nil) - Self.leftoverAge else { return false }
        }
        return unlink(path) == 0
    }

    /// Seconds. The deployed clients give up after one hour.
    private static let leftoverAge = 24 * 3600
}
