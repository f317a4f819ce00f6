import Glibc

/// The attributes of a file or directory in the store.
struct StoredFile {
    let bytes: Int
    /// On disk; 0 for a file that was counted before under another name.
    let allocated: Int
    /// The modification time, in seconds since 1970.
    let modified: Int
    let isOrdinary: Bool
    let isDirectory: Bool
}

/// Counts a file with several hard links once: while a blob is published, it has two.
struct HardLinkTracker {
    private struct Inode: Hashable {
        let device: dev_t
        let number: ino_t
    }

    private var seen: Set<Inode> = []

    mutating func facts(_ status: stat) -> StoredFile {
        let type = status.st_mode & S_IFMT
        let isAgain =
            type != S_IFDIR && status.st_nlink > 1
            && !seen.insert(Inode(device: status.st_dev, number: status.st_ino)).inserted
        return StoredFile(
            bytes: isAgain ? 0 : Int(status.st_size),
            // stat(2): in units of 512 bytes, whatever the file system's blocks are.
            allocated: isAgain ? 0 : Int(status.st_blocks) * 512,
            modified: Int(status.st_mtim.tv_sec), isOrdinary: type == S_IFREG, isDirectory: type == S_IFDIR)
    }
}
