import CLinux
import Glibc
import ShaCache
import System

/// How an export lies in its directory. slapproxy serves it as it is, but for keys that no file can be named as.
///
///     DIRECTORY/shacache/3f9a…   a blob, named by its SHA-512
///     DIRECTORY/shadir/KEY       what a GET of the key answers (`KeyFileName`)
///     DIRECTORY/partial          what is being written; empty at the end
enum ExportLayout {
    static func blobs(of directory: String) -> String { "\(directory)/shacache" }
    static func lists(of directory: String) -> String { "\(directory)/shadir" }
    static func partial(of directory: String) -> String { "\(directory)/partial" }
}

/// The directory of an export. Its files appear whole or not at all, also when the power fails: they are written aside,
/// many at a time, synchronized together, and then renamed.
///
/// Belongs to one thread, and to one process at a time.
final class ExportDirectory {
    private let path: String
    private let root: Descriptor
    private var staged: [(temporary: String, final: String)] = []
    /// In bytes, by their final names.
    private var stagedSizes: [String: Int] = [:]
    private var stagedBytes = 0

    /// What is synchronized together at most.
    private static let mostFiles = 1000
    private static let mostBytes = 256 << 20

    /// Makes what is missing, and removes what a killed export was writing.
    init(_ path: String) throws {
        self.path = path
        try Self.make(path)
        root = try Descriptor(path, flags: O_DIRECTORY)
        guard flock(root.number, LOCK_EX | LOCK_NB) == 0 else {
            throw UnfitItem("\(path): another export writes there")
        }
        for directory in [ExportLayout.blobs, ExportLayout.lists, ExportLayout.partial] {
            try Self.make(directory(path))
        }
        for name in try namesInDirectory(ExportLayout.partial(of: path)) {
            try Self.remove("\(ExportLayout.partial(of: path))/\(name)")
        }
    }

    func path(of digest: Digest) -> String { "\(ExportLayout.blobs(of: path))/\(digest)" }

    func path(of key: Key) -> String { "\(ExportLayout.lists(of: path))/\(KeyFileName.path(of: key))" }

    private static func make(_ path: String) throws(SystemError) {
        do throws(SystemError) {
            try systemCall("make", path: path) { mkdir($0, 0o755) }
        } catch {
            guard error.code == EEXIST else { throw error }
        }
    }

    /// - Returns: false when there is no such file.
    @discardableResult
    static func remove(_ path: String) throws(SystemError) -> Bool {
        do throws(SystemError) {
            try systemCall("remove", path: path) { Glibc.unlink($0) }
            return true
        } catch {
            guard error.isOfMissingDirectory else { throw error }
            return false
        }
    }

    /// In bytes; nil when there is no such file, nor will be.
    func size(of path: String) -> Int? {
        if let size = stagedSizes[path] { return size }
        var status = stat()
        guard path.withFileName({ lstat($0, &status) }) == 0, status.st_mode & S_IFMT == S_IFREG else { return nil }
        return Int(status.st_size)
    }

    /// Makes a file, which has its name when the next batch is through.
    ///
    /// - Parameters:
    ///   - size: in bytes.
    ///   - write: fills it. When it throws, there is no such file.
    func add(_ final: String, size: Int, write: (borrowing Descriptor) throws -> Void) throws {
        try stage(final, size: size) { temporary in
            try write(Descriptor(temporary, flags: O_WRONLY | O_CREAT | O_EXCL, mode: 0o644))
        }
        stagedBytes += size
        try flushIfFull()
    }

    /// Gives an open file one more name there.
    ///
    /// - Returns: false when it lies on another file system, or on one that knows no such names.
    func addLink(_ final: String, size: Int, to descriptor: CInt) throws -> Bool {
        do {
            try stage(final, size: size) { temporary in
                try systemCall("link", path: temporary) {
                    linkat(AT_FDCWD, "/proc/self/fd/\(descriptor)", AT_FDCWD, $0, AT_SYMLINK_FOLLOW)
                }
            }
        } catch let error as SystemError where [EXDEV, EPERM, EMLINK, ENOTSUP].contains(error.code) {
            return false
        }
        try flushIfFull()
        return true
    }

    private func stage(_ final: String, size: Int, _ make: (String) throws -> Void) throws {
        let temporary = "\(ExportLayout.partial(of: path))/\(staged.count)"
        do {
            try make(temporary)
        } catch {
            _ = try? Self.remove(temporary)
            throw error
        }
        staged.append((temporary, final))
        stagedSizes[final] = size
    }

    private func flushIfFull() throws(SystemError) {
        if staged.count >= Self.mostFiles || stagedBytes >= Self.mostBytes { try flush() }
    }

    private func flush() throws(SystemError) {
        guard !staged.isEmpty else { return }
        try synchronize()
        for (temporary, final) in staged {
            try makeParents(of: final)
            try systemCall("rename", path: final) { final in
                temporary.withFileName { rename($0, final) }
            }
        }
        staged = []
        stagedSizes = [:]
        stagedBytes = 0
    }

    private func synchronize() throws(SystemError) {
        try systemCall("write \(path) to the disk") { syncfs(root.number) }
    }

    /// Of a key whose name goes on in directories.
    private func makeParents(of final: String) throws(SystemError) {
        let lists = "\(ExportLayout.lists(of: path))/"
        guard final.hasPrefix(lists) else { return }
        let parts = final.dropFirst(lists.count).split(separator: "/").dropLast()
        for count in parts.indices { try Self.make(lists + parts[...count].joined(separator: "/")) }
    }

    /// All files have their names, and the disk has them.
    func finish() throws(SystemError) {
        try flush()
        try systemCall("remove", path: ExportLayout.partial(of: path)) { rmdir($0) }
        try synchronize()
    }
}
