import Glibc

/// An open file or directory, closed when its owner lets go of it. Opening never follows a symbolic link.
struct Descriptor: ~Copyable {
    let number: CInt

    init(
        _ path: Path, in directory: CInt = AT_FDCWD, flags: CInt = O_RDONLY, mode: mode_t = 0, following: Bool = false
    ) throws(ArchiveError) {
        let noFollow = following ? 0 : O_NOFOLLOW
        number = try system("open \(path)") {
            path.withCString { openat(directory, $0, flags | noFollow | O_CLOEXEC, mode) }
        }
    }

    init(owning number: CInt) { self.number = number }

    deinit { close(number) }

    func status() throws(ArchiveError) -> stat {
        var status = stat()
        try system("look at a file") { fstat(number, &status) }
        return status
    }

    /// - Returns: less than the buffer holds only at the end.
    func read(into buffer: UnsafeMutableRawBufferPointer, _ path: Path) throws(ArchiveError) -> Int {
        try readFully(number, into: buffer, as: "read \(path)")
    }
}

extension Descriptor {
    /// At its place in the file, which may lie behind the end: what is between then is a hole.
    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int, _ path: Path) throws(ArchiveError) {
        var done = 0
        while done < bytes.count {
            let rest = UnsafeRawBufferPointer(rebasing: bytes[done...])
            done += try system("write \(path)") { pwrite(number, rest.baseAddress, rest.count, offset + done) }
        }
    }
}

/// Fills the buffer, or as much of it as there is until the end.
func readFully(_ descriptor: CInt, into buffer: UnsafeMutableRawBufferPointer, as operation: @autoclosure () -> String)
    throws(ArchiveError) -> Int
{
    var count = 0
    while count < buffer.count {
        let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[count...])
        let got = try system(operation()) { read(descriptor, rest.baseAddress, rest.count) }
        guard got > 0 else { break }
        count += got
    }
    return count
}
