import Glibc

/// An open file or directory, closed when its owner lets go of it.
struct FileHandle: ~Copyable {
    let descriptor: Int32

    /// Never follows a symbolic link: everything in the store was put there by us.
    init(opening path: String, flags: Int32 = O_RDONLY, mode: mode_t = 0, as operation: String) throws(StoreError) {
        descriptor = try system(operation) { open(path, flags | O_NOFOLLOW | O_CLOEXEC, mode) }
    }

    deinit { close(descriptor) }

    func status() throws(StoreError) -> stat {
        var status = stat()
        try system("look at a file") { fstat(descriptor, &status) }
        return status
    }

    /// Makes what was written survive a crash. Of a directory: the names in it.
    func synchronize() throws(StoreError) {
        try system("fsync") { fsync(descriptor) }
    }
}
