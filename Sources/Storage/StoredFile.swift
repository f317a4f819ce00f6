import Glibc

/// What the file system says of something in the store.
struct StoredFile {
    let bytes: Int
    /// Of the disk; 0 of a file that was met before under another name.
    let allocated: Int
    /// When its bytes were written last, in seconds since 1970.
    let modified: Int
    let isOrdinary: Bool
    let isDirectory: Bool
}

/// Looks at files, and counts one that has several names once: while a blob is published, it has two.
struct FileWatcher {
    private struct Identity: Hashable {
        let device: dev_t
        let inode: ino_t
    }

    private var seen: Set<Identity> = []

    mutating func facts(_ status: stat) -> StoredFile {
        let type = status.st_mode & S_IFMT
        let isAgain =
            type != S_IFDIR && status.st_nlink > 1
            && !seen.insert(Identity(device: status.st_dev, inode: status.st_ino)).inserted
        return StoredFile(
            bytes: isAgain ? 0 : Int(status.st_size),
            // stat(2): in units of 512 bytes, whatever the file system's blocks are.
            allocated: isAgain ? 0 : Int(status.st_blocks) * 512,
            modified: Int(status.st_mtim.tv_sec), isOrdinary: type == S_IFREG, isDirectory: type == S_IFDIR)
    }
}
