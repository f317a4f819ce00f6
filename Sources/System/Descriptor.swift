public import CLinux
import Glibc

/// An open file, directory or pipe, closed when its owner ends. Never inherited by another program.
///
/// Errors have its `name` as their subject.
public struct Descriptor: ~Copyable, Sendable {
    public let number: CInt
    /// What messages call it: its path, unless that is confidential.
    public let name: String

    /// - Parameters:
    ///   - path: from `directory` on, the number of an open one.
    ///   - flags: as open(2) has them. Symbolic links are followed unless O_NOFOLLOW is among them.
    ///   - mode: of a file that is made.
    public init(
        _ path: String, in directory: CInt = AT_FDCWD, flags: CInt = O_RDONLY, mode: mode_t = 0,
        named name: String? = nil
    ) throws(SystemError) {
        let call = { (path: UnsafePointer<CChar>) in openat(directory, path, flags | O_CLOEXEC, mode) }
        number =
            if let name {
                try systemCall(SystemError.open, name) { path.withFileName(call) }
            } else {
                try systemCall(SystemError.open, path: path, call)
            }
        self.name = name ?? path
    }

    /// - Parameter number: of an open one, whose ownership passes to this.
    public init(owning number: CInt, named name: String) {
        self.number = number
        self.name = name
    }

    deinit { close(number) }

    /// A file without a name, which goes away with the process however that ends.
    ///
    /// - Parameter directory: where its bytes lie.
    public static func temporary(in directory: String) throws(SystemError) -> Descriptor {
        let name = "a temporary file in \(directory)"
        do throws(SystemError) {
            return try unnamed(in: directory, mode: 0o600, named: name)
        } catch {
            // Not every file system has such files.
            var template = "\(directory)/shacache-XXXXXX".fileNameBytes.map { CChar(bitPattern: $0) } + [0]
            let number = try systemCall("make", name) { mkostemp(&template, O_CLOEXEC) }
            unlink(template)
            return Descriptor(owning: number, named: name)
        }
    }

    /// A file without a name, which may get one later; not every file system has such files.
    public static func unnamed(in directory: String, mode: mode_t, named name: String) throws(SystemError) -> Descriptor
    {
        try Descriptor(directory, flags: o_tmpfile | O_RDWR, mode: mode, named: name)
    }

    /// The descriptor number `number`, which stays open, as one of its own: both share a position.
    public static func duplicate(_ number: CInt, named name: String) throws(SystemError) -> Descriptor {
        Descriptor(owning: try systemCall("duplicate", name) { fcntl(number, F_DUPFD_CLOEXEC, 3) }, named: name)
    }

    public func status() throws(SystemError) -> stat {
        var status = stat()
        try systemCall("look at", name) { fstat(number, &status) }
        return status
    }

    /// In bytes.
    public func size() throws(SystemError) -> Int { Int(try status().st_size) }

    public func truncate(to size: Int) throws(SystemError) {
        try systemCall("write", name) { ftruncate(number, off_t(size)) }
    }

    public func changeMode(_ mode: mode_t) throws(SystemError) {
        try systemCall("change the permissions of", name) { fchmod(number, mode) }
    }

    /// Makes what was written survive a crash. Of a directory: the names in it.
    ///
    /// After a failure, don't try again: Linux forgets which pages were not written, and the next one succeeds.
    public func synchronize() throws(SystemError) { try systemCall(SystemError.fsync, name) { fsync(number) } }

    /// The same of a file's bytes and size, without its times.
    public func synchronizeData() throws(SystemError) { try systemCall(SystemError.fsync, name) { fdatasync(number) } }
}

extension SystemError {
    fileprivate static let fsync = "fsync"
    fileprivate static let open = "open"

    public var isOfOpening: Bool { operation == Self.open }

    /// Whether what was written may be lost, or the names of files.
    public var isOfSynchronizing: Bool { operation == Self.fsync }
}

extension stat {
    /// S_IFREG, S_IFDIR and so on.
    public var kind: mode_t { st_mode & S_IFMT }
}
