import CLinux
import Glibc
import System

/// What a call to the system failed with.
public struct SystemFailure: Error, CustomStringConvertible {
    public let description: String
    /// What `errno` said.
    let code: Int32

    /// - Parameter consequence: what is so now, for the message.
    init(_ what: String, errno code: Int32 = errno, consequence: String = "") {
        self.code = code
        let what = what.isEmpty ? "the name of the file is empty" : what
        description = "\(what): \(String(cString: strerror(code)).lowercasedFirst)\(consequence)"
    }
}

extension String {
    fileprivate var lowercasedFirst: String { prefix(1).lowercased() + dropFirst() }
}

/// Passes on what a system call returned, or throws what `errno` says.
@discardableResult
func system(_ what: String, _ call: () -> Int32) throws(SystemFailure) -> Int32 {
    while true {
        let result = call()
        guard result < 0 else { return result }
        guard errno == EINTR else { throw SystemFailure(what) }
    }
}

/// The same, for a call that takes a path.
@discardableResult
func system(_ path: String, _ call: (UnsafePointer<CChar>) -> Int32) throws(SystemFailure) -> Int32 {
    try system(path) { path.withFileName(call) }
}

func exists(_ path: String) -> Bool { path.withFileName { access($0, F_OK) } == 0 }

func isDirectory(_ path: String) -> Bool { (try? fileStatus(path))?.kind == S_IFDIR }

func isEmptyDirectory(_ path: String) -> Bool {
    guard let stream = path.withFileName({ opendir($0) }) else { return false }
    defer { closedir(stream) }
    while let item = readdir(stream) {
        guard [".", ".."].contains(item.name) else { return false }
    }
    return true
}

extension UnsafeMutablePointer<dirent> {
    var name: String {
        withUnsafePointer(to: &pointee.d_name) { field in
            field.withMemoryRebound(to: CChar.self, capacity: 256) { String(fileName: $0) }
        }
    }
}

/// - Parameter following: a link, to what it leads to.
func fileStatus(_ path: String, following: Bool = true) throws(SystemFailure) -> stat {
    var status = stat()
    try system(path) { fstatat(AT_FDCWD, $0, &status, following ? 0 : AT_SYMLINK_NOFOLLOW) }
    return status
}

func unlink(_ path: String) { _ = path.withFileName { Glibc.unlink($0) } }

/// The absolute path without links, `.` and `..`.
func realPath(_ path: String) throws(SystemFailure) -> String {
    guard let real = path.withFileName({ realpath($0, nil) }) else { throw SystemFailure(path) }
    defer { free(real) }
    return String(fileName: real)
}

/// What a symbolic link says.
func linkTarget(_ path: String) throws(SystemFailure) -> String {
    let buffer = UnsafeMutableBufferPointer<CChar>.allocate(capacity: Int(PATH_MAX))
    defer { buffer.deallocate() }
    let count = path.withFileName { readlink($0, buffer.baseAddress!, buffer.count) }
    guard count >= 0 else { throw SystemFailure(path) }
    return String(fileName: buffer.prefix(count).map { UInt8(bitPattern: $0) })
}

extension stat {
    /// S_IFREG, S_IFDIR and so on.
    var kind: mode_t { st_mode & S_IFMT }
}

func isFile(_ path: String) -> Bool { (try? fileStatus(path))?.kind == S_IFREG }

/// An open file, closed when its owner lets go of it.
final class OpenFile: Sendable {
    let descriptor: Int32
    let path: String

    init(_ path: String, flags: Int32 = O_RDONLY, mode: mode_t = 0) throws(SystemFailure) {
        descriptor = try system(path) { open($0, flags | O_CLOEXEC, mode) }
        self.path = path
    }

    init(owning descriptor: Int32, path: String) {
        self.descriptor = descriptor
        self.path = path
    }

    /// A file without a name, which goes away with the process however that ends.
    ///
    /// - Parameter directory: where its bytes lie.
    static func temporary(in directory: String) throws(SystemFailure) -> OpenFile {
        let what = "a temporary file in \(directory)"
        if let unnamed = unnamed(in: directory, mode: 0o600, path: what) { return unnamed }
        var template = "\(directory)/shacache-XXXXXX".fileNameBytes.map { CChar(bitPattern: $0) } + [0]
        let named = try system(what) { mkstemp(&template) }
        Glibc.unlink(template)
        return OpenFile(owning: named, path: what)
    }

    /// A file without a name, which may get one later.
    ///
    /// - Parameter path: for messages.
    /// - Returns: nil where that can't be: not every file system has such files.
    static func unnamed(in directory: String, mode: mode_t, path: String) -> OpenFile? {
        let descriptor = directory.withFileName { open($0, o_tmpfile | O_RDWR | O_CLOEXEC, mode) }
        return descriptor < 0 ? nil : OpenFile(owning: descriptor, path: path)
    }

    deinit { close(descriptor) }

    func status() throws(SystemFailure) -> stat {
        var status = stat()
        try system(path) { fstat(descriptor, &status) }
        return status
    }

    /// In bytes.
    func size() throws(SystemFailure) -> Int { Int(try status().st_size) }

    /// Reads some bytes from an offset on; 0 at the end.
    func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws(SystemFailure) -> Int {
        while true {
            let count = pread(descriptor, buffer.baseAddress, buffer.count, offset)
            guard count < 0 else { return count }
            guard errno == EINTR else { throw SystemFailure(path) }
        }
    }

    /// Writes all of the bytes at an offset.
    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(SystemFailure) {
        var done = 0
        while done < bytes.count {
            let count = pwrite(descriptor, bytes.baseAddress! + done, bytes.count - done, offset + done)
            guard count >= 0 || errno == EINTR else { throw SystemFailure(path) }
            done += max(0, count)
        }
    }

    var isRegular: Bool {
        get throws(SystemFailure) { try status().kind == S_IFREG }
    }

    /// Calls `body` with the bytes, a piece at a time, from the first one on; of a pipe, with what comes.
    func forEachPiece(_ body: (UnsafeRawBufferPointer) throws -> Void) throws {
        // Only a pipe refuses, and it has no other place than where it is.
        lseek(descriptor, 0, SEEK_SET)
        try forEachFurtherPiece(body)
    }

    /// The same, from where the file stands.
    func forEachFurtherPiece(_ body: (UnsafeRawBufferPointer) throws -> Void) throws {
        let piece = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 4096)
        defer { piece.deallocate() }
        while true {
            let count = Glibc.read(descriptor, piece.baseAddress, piece.count)
            guard count != 0 else { return }
            guard count > 0 else {
                guard errno == EINTR else { throw SystemFailure(path) }
                continue
            }
            try body(UnsafeRawBufferPointer(rebasing: piece[..<count]))
        }
    }

    /// Makes what was written survive a crash.
    func synchronize() throws(SystemFailure) { try system(path) { fsync(descriptor) } }
}

func contents(of path: String) throws -> [UInt8] {
    var contents: [UInt8] = []
    try OpenFile(path).forEachPiece { contents.append(contentsOf: $0) }
    return contents
}

/// Where large files lie that nobody shall see: what TMPDIR says, else /var/tmp, which unlike /tmp isn't memory.
var temporaryDirectory: String { environmentVariable("TMPDIR") ?? "/var/tmp" }
