import CLinux
import Glibc
import System

/// An open file that several owners share, closed when the last one lets go of it.
final class SharedFile: Sendable {
    let descriptor: Descriptor

    /// Its path, or what messages call it.
    var name: String { descriptor.name }

    init(_ descriptor: consuming Descriptor) { self.descriptor = descriptor }
}

extension Descriptor {
    var isRegular: Bool {
        get throws(SystemError) { try status().kind == S_IFREG }
    }
}

func exists(_ path: String) -> Bool { path.withFileName { access($0, F_OK) } == 0 }

func isDirectory(_ path: String) -> Bool { (try? fileStatus(path))?.kind == S_IFDIR }

func isEmptyDirectory(_ path: String) -> Bool { (try? namesInDirectory(path))?.isEmpty == true }

func isFile(_ path: String) -> Bool { (try? fileStatus(path))?.kind == S_IFREG }

/// - Parameter following: a link, to what it leads to.
func fileStatus(_ path: String, following: Bool = true) throws(SystemError) -> stat {
    var status = stat()
    try systemCall("look at", path: path) { fstatat(AT_FDCWD, $0, &status, following ? 0 : AT_SYMLINK_NOFOLLOW) }
    return status
}

func unlink(_ path: String) { _ = path.withFileName { Glibc.unlink($0) } }

/// Makes a file that is there whole, or not at all, whenever this process is killed; never in the place of another.
func createFile(_ path: String, mode: mode_t, _ text: String) throws {
    let temporary = "\(path).\(getpid())"
    defer { unlink(temporary) }
    let file = try Descriptor(temporary, flags: O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: mode, named: path)
    try Array(text.utf8).withUnsafeBytes { try file.writeAll($0) }
    try file.synchronize()
    try systemCall("make", path: path) { new in temporary.withFileName { link($0, new) } }
    try Descriptor(path.parentDirectory, flags: O_DIRECTORY).synchronize()
}

/// Makes a directory, and those above it, unless they are there.
func makeDirectories(_ path: String) throws {
    guard !isDirectory(path) else { return }
    // With its slash, it would be its own parent.
    let name = path.utf8.reversed().drop { $0 == UInt8(ascii: "/") }.reversed()
    try makeDirectories(String(decoding: name, as: UTF8.self).parentDirectory)
    try systemCall("make", path: path) { mkdir($0, 0o755) }
}

/// The absolute path without links, `.` and `..`.
func realPath(_ path: String) throws(SystemError) -> String {
    var real: UnsafeMutablePointer<CChar>?
    defer { free(real) }
    try systemCall("look at", path: path) { name in
        real = realpath(name, nil)
        return real == nil ? -1 : 0
    }
    return String(fileName: real!)
}

/// The target of a symbolic link, as it is written in it.
func linkTarget(_ path: String) throws(SystemError) -> String {
    let buffer = UnsafeMutableBufferPointer<CChar>.allocate(capacity: Int(PATH_MAX))
    defer { buffer.deallocate() }
    let count = try systemCall("read", path: path) { readlink($0, buffer.baseAddress!, buffer.count) }
    return String(fileName: buffer.prefix(count).map { UInt8(bitPattern: $0) })
}

/// For large temporary files: TMPDIR, else /var/tmp, which unlike /tmp isn't memory.
var temporaryDirectory: String { environmentVariable("TMPDIR") ?? "/var/tmp" }
