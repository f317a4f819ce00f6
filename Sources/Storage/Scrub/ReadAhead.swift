import OpenSSL
import ShaCache
import System

/// Hashes files one after the other, while other threads read on ahead: disk and processor work at the same time, and a
/// disk answers for several small files at once in little more time than for one.
enum ReadAhead {
    /// A file, and what its bytes are.
    struct File {
        let digest: Digest
        let presence: LocalBlobs.Presence
        /// How many were read.
        let bytes: Int
    }

    private static let readers = 4

    /// Calls `body` with each of the files, in their order.
    ///
    /// - Parameter pace: called with how many bytes were hashed, to be held up by it.
    static func hash(
        _ files: [(digest: Digest, path: String)], pace: (Int) -> Void = { _ in },
        _ body: (File) throws -> Void
    ) throws {
        var readers: [FileReader] = []
        defer {
            for reader in readers { reader.stop() }
            for reader in readers { reader.join() }
        }
        for first in files.indices.prefix(Self.readers) {
            let paths = stride(from: first, to: files.count, by: Self.readers).map { files[$0].path }
            readers.append(try FileReader(paths))
        }
        for (index, file) in files.enumerated() {
            try body(hash(file.digest, from: readers[index % Self.readers], pace))
        }
    }

    private static func hash(_ digest: Digest, from reader: FileReader, _ pace: (Int) -> Void) throws -> File {
        let hash = Hash(.sha512)
        var bytes = 0
        while true {
            let piece = reader.next()
            hash.update(piece.bytes)
            bytes += piece.bytes.count
            pace(piece.bytes.count)
            reader.giveBack(piece)
            if let error = piece.error {
                return File(digest: digest, presence: try LocalBlobs.Presence(ofUnreadable: error), bytes: bytes)
            }
            guard piece.isLast else { continue }
            let isIntact = Digest(bytes: hash.finish()) == digest
            return File(digest: digest, presence: isIntact ? .intact : LocalBlobs.hasOtherBytes, bytes: bytes)
        }
    }
}
