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
