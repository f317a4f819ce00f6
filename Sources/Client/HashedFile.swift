import Glibc
import ShaCache

/// A file whose name in the cache is known, and which is closed again: many wait for their turn at once.
struct HashedFile: Sendable {
    let path: String
    let digest: Digest
    private let stamp: FileStamp

    /// In bytes.
    var size: Int { stamp.size }

    /// - Returns: nil for what must be read in another way: pipes, what has not as many bytes as its size says, and
    ///   files of `limit` bytes and more.
    init?(_ path: String, below limit: Int) throws {
        // Not opened before: a pipe would wait for its writer.
        let status = try fileStatus(path)
        guard status.kind == S_IFREG, (1..<limit).contains(Int(status.st_size)) else { return nil }
        guard let file = try GrowingFile(regular: OpenFile(path)), let size = file.finalSize, size < limit else {
            return nil
        }
        self.path = path
        digest = try file.digest()
        stamp = file.stamp!
    }

    /// Opens it again.
    ///
    /// - Throws: `FileChanged` when it isn't the file any more that was hashed.
    func open() throws -> GrowingFile {
        let file = GrowingFile(whole: try OpenFile(path), stamp: stamp)
        try file.checkUnchanged()
        return file
    }
}
