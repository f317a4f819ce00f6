import CLinux
import Glibc

/// What a call to the system failed with.
public struct SystemFailure: Error, CustomStringConvertible {
    public let description: String

    init(_ what: String, errno code: Int32 = errno) {
        description = "\(what): \(String(cString: strerror(code)).lowercasedFirst)"
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

func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

func isDirectory(_ path: String) -> Bool {
    var status = stat()
    return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
}

/// An open file, closed when its owner lets go of it.
final class OpenFile: Sendable {
    let descriptor: Int32
    let path: String

    init(_ path: String, flags: Int32 = O_RDONLY, mode: mode_t = 0) throws(SystemFailure) {
        descriptor = try system(path) { open(path, flags | O_CLOEXEC, mode) }
        self.path = path
    }

    private init(owning descriptor: Int32, path: String) {
        self.descriptor = descriptor
        self.path = path
    }

    /// A file without a name, which goes away with the process however that ends.
    ///
    /// - Parameter directory: where its bytes lie.
    static func temporary(in directory: String) throws(SystemFailure) -> OpenFile {
        let what = "a temporary file in \(directory)"
        let descriptor = open(directory, o_tmpfile | O_RDWR | O_CLOEXEC, 0o600)
        if descriptor >= 0 { return OpenFile(owning: descriptor, path: what) }
        // Not every file system has files without names.
        var template = Array("\(directory)/shacache-XXXXXX".utf8CString)
        let named = try system(what) { mkstemp(&template) }
        unlink(template)
        return OpenFile(owning: named, path: what)
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
        get throws(SystemFailure) { try status().st_mode & S_IFMT == S_IFREG }
    }

    /// Calls `body` with the bytes, a piece at a time, from the first one on; of a pipe, with what comes.
    func forEachPiece(_ body: (UnsafeRawBufferPointer) throws -> Void) throws {
        let piece = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 4096)
        defer { piece.deallocate() }
        // Only a pipe refuses, and it has no other place than where it is.
        lseek(descriptor, 0, SEEK_SET)
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
var temporaryDirectory: String { getenv("TMPDIR").map { String(cString: $0) } ?? "/var/tmp" }
