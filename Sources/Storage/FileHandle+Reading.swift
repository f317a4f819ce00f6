import Glibc
import OpenSSL
import ShaCache

extension FileHandle {
    /// Calls `body` with the bytes, a piece at a time.
    func read(_ body: (UnsafeRawBufferPointer) -> Void) throws(StoreError) {
        // As fast as mmap on the prototype, and a file that is cut meanwhile is an error, not a SIGBUS.
        let piece = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 4096)
        defer { piece.deallocate() }
        posix_fadvise(descriptor, 0, 0, POSIX_FADV_SEQUENTIAL)
        var offset = 0
        while true {
            let count = pread(descriptor, piece.baseAddress, piece.count, offset)
            guard count != 0 else { return }
            guard count > 0 else {
                guard errno == EINTR else { throw StoreError("read a file") }
                continue
            }
            body(UnsafeRawBufferPointer(rebasing: piece[..<count]))
            offset += count
        }
    }

    /// The SHA-512 of the bytes as they lie on the disk.
    func digest() throws(StoreError) -> Digest {
        let hash = Hash(.sha512)
        try read { hash.update($0) }
        return Digest(bytes: hash.finish())
    }
}
