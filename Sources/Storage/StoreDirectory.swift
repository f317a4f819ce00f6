import Glibc

/// An open directory, read name by name: however much lies in it, little memory is needed.
final class StoreDirectory {
    private let stream: OpaquePointer  // DIR *

    /// - Parameter parent: a directory's descriptor.
    /// - Returns: nil when there is none of that name (any more).
    init?(opening name: UnsafePointer<CChar>, in parent: CInt = AT_FDCWD) throws(StoreError) {
        let opened = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        if opened < 0, [ENOENT, ENOTDIR].contains(errno) { return nil }
        guard opened >= 0, let stream = fdopendir(opened) else { throw StoreError("open \(String(cString: name))") }
        self.stream = stream
    }

    deinit { closedir(stream) }

    var descriptor: CInt { dirfd(stream) }

    func status() throws(StoreError) -> stat {
        var status = stat()
        try system("look at a directory") { fstat(descriptor, &status) }
        return status
    }

    /// Calls `body` with each name, which holds for as long as that runs, and what is there. What vanishes meanwhile is
    /// left out.
    func forEachItem(_ body: (UnsafePointer<CChar>, stat) throws -> Void) throws {
        while true {
            errno = 0
            guard let item = readdir(stream) else {
                guard errno == 0 else { throw StoreError("read a directory") }
                return
            }
            try withUnsafeBytes(of: &item.pointee.d_name) { name in
                let name = name.assumingMemoryBound(to: CChar.self).baseAddress!
                guard strcmp(name, ".") != 0, strcmp(name, "..") != 0 else { return }
                var status = stat()
                guard fstatat(descriptor, name, &status, AT_SYMLINK_NOFOLLOW) == 0 else {
                    guard errno == ENOENT else { throw StoreError("look at \(String(cString: name))") }
                    return
                }
                try body(name, status)
            }
        }
    }
}
