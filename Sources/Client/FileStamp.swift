public import Archives
import CLinux
import Glibc
import ShaCache
import System

/// What tells that a file became another one while it was read, as far as a file system tells.
struct FileStamp: Sendable {
    /// In bytes.
    let size: Int
    private let times: [timespec]

    /// - Parameter countingRenames: whether a file that is only renamed, or gets another mode, counts as another one:
    ///   that may also be a file that was written and given its old time.
    init(_ file: borrowing Descriptor, countingRenames: Bool = true) throws(SystemError) {
        let status = try file.status()
        size = Int(status.st_size)
        times = [status.st_mtim] + (countingRenames ? [status.st_ctim] : [])
    }

    /// - Throws: `FileChanged`, `SystemError`.
    func check(_ file: borrowing Descriptor) throws {
        let now = try FileStamp(file, countingRenames: times.count > 1)
        guard now.size == size else { throw FileChanged(file.name, now.size > size ? "grew" : "shrank") }
        let isSame = zip(now.times, times).allSatisfy { ($0.tv_sec, $0.tv_nsec) == ($1.tv_sec, $1.tv_nsec) }
        guard isSame else { throw FileChanged(file.name, "changed") }
    }
}

/// A file became another one while it was read: what came of it is neither.
struct FileChanged: HasHint, CustomStringConvertible {
    let description: String
    static let hint = "upload it again when nothing writes to it any more"
    var hint: String? { Self.hint }

    init(_ path: String, _ how: String) { description = "\(path): \(how) while it was read" }
}

/// The same of a file in a directory that is archived.
extension ArchiveError: HasHint {
    public var hint: String? {
        guard case .changed = self else { return nil }
        return FileChanged.hint
    }
}

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
        guard let file = try GrowingFile(regular: SharedFile(Descriptor(path))), let size = file.finalSize, size < limit
        else {
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
        let file = GrowingFile(whole: SharedFile(try Descriptor(path)), stamp: stamp)
        try file.checkUnchanged()
        return file
    }
}
