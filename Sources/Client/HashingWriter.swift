import OpenSSL
import ShaCache
import System

/// A blob on its way in: bytes on the disk, hashed as they arrive, under no name of a complete file.
final class HashingWriter {
    private let file: SharedFile
    /// In bytes.
    private(set) var size = 0
    private var hash: Hash? = Hash(.sha512)

    /// Goes on with what an earlier call left in the file.
    init(_ file: SharedFile) throws {
        self.file = file
        file.descriptor.rewind()
        try file.descriptor.forEachPiece { absorb($0) }
    }

    /// - Parameter offset: of the bytes in the blob: after the last ones, or 0 to begin anew.
    func take(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws {
        if offset == 0, size > 0 { try clear() }
        guard offset == size else {
            throw CacheFailure.malformed("the cache sent bytes from \(offset) on instead of \(size)")
        }
        try file.descriptor.writeAll(bytes, at: offset)
        absorb(bytes)
    }

    func clear() throws {
        try file.descriptor.truncate(to: 0)
        size = 0
        hash = Hash(.sha512)
    }

    /// The SHA-512 of all bytes; nothing can be added after.
    func finish() -> Digest { Digest(bytes: hash.take()!.finish()) }

    private func absorb(_ bytes: UnsafeRawBufferPointer) {
        hash!.update(bytes)
        size += bytes.count
    }
}
