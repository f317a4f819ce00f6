public import Archives
import Glibc

/// What tells that a file became another one while it was read, as far as a file system tells.
struct FileStamp: Sendable {
    /// In bytes.
    let size: Int
    private let times: [timespec]

    /// - Parameter countingRenames: whether a file that is only renamed, or gets another mode, counts as another one:
    ///   that may also be a file that was written and given its old time.
    init(_ file: OpenFile, countingRenames: Bool = true) throws(SystemFailure) {
        let status = try file.status()
        size = Int(status.st_size)
        times = [status.st_mtim] + (countingRenames ? [status.st_ctim] : [])
    }

    /// - Throws: `FileChanged`, `SystemFailure`.
    func check(_ file: OpenFile) throws {
        let now = try FileStamp(file, countingRenames: times.count > 1)
        guard now.size == size else { throw FileChanged(file.path, now.size > size ? "grew" : "shrank") }
        let isSame = zip(now.times, times).allSatisfy { ($0.tv_sec, $0.tv_nsec) == ($1.tv_sec, $1.tv_nsec) }
        guard isSame else { throw FileChanged(file.path, "changed") }
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
