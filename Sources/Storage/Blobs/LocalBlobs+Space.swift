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
