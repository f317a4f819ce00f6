import Glibc
public import ShaCache

extension BlobStore {
    /// Room on the store's file system.
    public struct Free: Sendable {
        public let bytes: Int
        public let inodes: Int
        /// Of the whole file system.
        public let totalBytes: Int
        /// 0 on file systems that don't count inodes.
        public let totalInodes: Int
        /// Kept free for what is under way: directories grow, and nginx is receiving other bodies. One part in a
        /// hundred, at most 1 GiB.
        public let reservedBytes: Int
        /// One part in a hundred. 0 on file systems that don't count inodes.
        let reservedInodes: Int
    }

    public func free() throws(StoreError) -> Free {
        var status = statvfs()
        try system("look at the store's free space") { statvfs(incoming, &status) }
        let block = Int(status.f_frsize)
        return Free(
            bytes: Int(status.f_bavail) * block, inodes: Int(status.f_favail),
            totalBytes: Int(status.f_blocks) * block, totalInodes: Int(status.f_files),
            reservedBytes: min(Int(status.f_blocks) * block / 100, 1 << 30), reservedInodes: Int(status.f_files) / 100)
    }

    /// Calls `body` with a blob's file, which is open as long as that runs.
    ///
    /// - Returns: nil when no such file can be opened.
    public func withFile<Result>(of digest: Digest, _ body: (CInt) throws -> Result) rethrows -> Result? {
        guard let file = try? FileHandle(opening: path(digest), as: "open a blob") else { return nil }
        return try body(file.descriptor)
    }

    /// In bytes; nil when the blob is gone.
    public func size(of digest: Digest) -> Int? {
        var status = stat()
        return stat(path(digest), &status) == 0 ? Int(status.st_size) : nil
    }
}
