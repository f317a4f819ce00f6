import Glibc

extension Descriptor {
    /// Reads some bytes from an offset on; 0 at the end. The file's position is left alone.
    public func read(at offset: Int, into buffer: UnsafeMutableRawBufferPointer) throws(SystemError) -> Int {
        try systemCall("read", name) { pread(number, buffer.baseAddress, buffer.count, off_t(offset)) }
    }

    /// Reads on from its position; of a pipe, what has come. 0 at the end.
    public func readSome(into buffer: UnsafeMutableRawBufferPointer) throws(SystemError) -> Int {
        try systemCall("read", name) { Glibc.read(number, buffer.baseAddress, buffer.count) }
    }

    /// Fills the buffer, or as much of it as there is until the end.
    public func readAll(into buffer: UnsafeMutableRawBufferPointer) throws(SystemError) -> Int {
        try System.readAll(from: number, into: buffer, named: name)
    }

    /// Puts its position before the first byte; a pipe has no other than where it is.
    public func rewind() { lseek(number, 0, SEEK_SET) }

    /// Calls `body` with the bytes from its position on, a piece at a time.
    public func forEachPiece(_ body: (UnsafeRawBufferPointer) throws -> Void) throws {
        // As fast as mmap, and a file that is cut meanwhile is an error, not a SIGBUS.
        let most = 1 << 20
        // A small file needs no pages of its own from the kernel, nor advice; one byte more finds its end.
        let size = try size()
        let isSmall = (1..<most / 8).contains(size)
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: isSmall ? size + 1 : most, alignment: 16)
        defer { buffer.deallocate() }
        // Of pipes, too: then it is refused, and nothing is lost.
        if !isSmall { posix_fadvise(number, 0, 0, POSIX_FADV_SEQUENTIAL) }
        while case let count = try readSome(into: buffer), count > 0 {
            try body(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
        }
    }

    /// All bytes from its position on, of what is known to be small.
    public func contents() throws(SystemError) -> [UInt8] {
        var contents: [UInt8] = []
        let expected = max(0, try size())
        while true {
            // More than there should be, so that what comes short of it is the end.
            let room = max(expected - contents.count, 0) + 4096
            let piece = try bytes(upTo: room)
            contents = contents.isEmpty ? piece : contents + piece
            guard piece.count == room else { return contents }
        }
    }

    private func bytes(upTo count: Int) throws(SystemError) -> [UInt8] {
        var result: Result<Int, SystemError> = .success(0)
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
            result = Result { () throws(SystemError) in try readAll(into: UnsafeMutableRawBufferPointer(buffer)) }
            initialized = (try? result.get()) ?? 0
        }
        _ = try result.get()
        return bytes
    }

    /// Writes all of it from its position on.
    public func writeAll(_ bytes: UnsafeRawBufferPointer) throws(SystemError) {
        try System.writeAll(bytes, to: number, named: name)
    }

    /// Writes all of it at an offset, which may lie behind the end: what is between then is a hole.
    public func writeAll(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(SystemError) {
        try writePieces(of: bytes, named: name) { rest, done in
            pwrite(number, rest.baseAddress, rest.count, off_t(offset + done))
        }
    }
}

/// Fills the buffer, or as much of it as there is until the end, from a descriptor that stays another owner's.
public func readAll(
    from number: CInt, into buffer: UnsafeMutableRawBufferPointer, named name: String
) throws(SystemError) -> Int {
    var count = 0
    while count < buffer.count {
        let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[count...])
        let got = try systemCall("read", name) { Glibc.read(number, rest.baseAddress, rest.count) }
        guard got > 0 else { break }
        count += got
    }
    return count
}

/// Writes all of it to a descriptor that stays another owner's, like standard output.
public func writeAll(_ bytes: UnsafeRawBufferPointer, to number: CInt, named name: String) throws(SystemError) {
    try writePieces(of: bytes, named: name) { rest, _ in Glibc.write(number, rest.baseAddress, rest.count) }
}

private func writePieces(
    of bytes: UnsafeRawBufferPointer, named name: String,
    by call: (_ rest: UnsafeRawBufferPointer, _ done: Int) -> Int
) throws(SystemError) {
    var done = 0
    while done < bytes.count {
        let rest = UnsafeRawBufferPointer(rebasing: bytes[done...])
        done += try systemCall("write", name) { call(rest, done) }
    }
}

/// - Throws: `SystemError`, whose subject is the path.
public func contentsOfFile(_ path: String) throws(SystemError) -> [UInt8] { try Descriptor(path).contents() }
