import Gzip

/// The bytes of a tar, out of a descriptor that has them plain or in gzip.
final class TarSource {
    private let descriptor: CInt
    private let progress: (Int) throws -> Void
    private let input = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 << 10, alignment: 4096)
    private let output = UnsafeMutableRawBufferPointer.allocate(byteCount: 512 << 10, alignment: 4096)
    private var stream = InflateStream()
    /// Known with the first bytes.
    private var isGzip: Bool?
    private var bytesRead = 0
    private var zerosAtEnd = 0

    /// - Parameter progress: is told how many bytes were read from the descriptor so far.
    init(descriptor: CInt, progress: @escaping (Int) throws -> Void) {
        self.descriptor = descriptor
        self.progress = progress
    }

    deinit {
        input.deallocate()
        output.deallocate()
    }

    /// - Returns: what is good until the next call; nothing at the end.
    func next() throws -> UnsafeRawBufferPointer {
        let bytes = isGzip == true ? try inflated() : try plain()
        let zerosFrom = bytes.lastIndex { $0 != 0 }.map { $0 + 1 } ?? 0
        zerosAtEnd = (zerosFrom == 0 ? zerosAtEnd : 0) + bytes.count - zerosFrom
        return bytes
    }

    /// The next bytes as they are, unless they show that this is gzip.
    private func plain() throws -> UnsafeRawBufferPointer {
        let bytes = try read()
        guard isGzip == nil else { return bytes }
        isGzip = bytes.starts(with: [0x1f, 0x8b])
        guard isGzip == true else { return bytes }
        stream.feed(bytes)
        return try inflated()
    }

    /// Reads what stands behind the last member: only the end tells whether the archive is all there, and intact.
    func finish() throws {
        while try !next().isEmpty {}
        // Two blocks of zeros end every tar (POSIX pax, "ustar Interchange Format").
        guard zerosAtEnd >= 1024 else { throw ArchiveError.malformed("its end is missing") }
    }

    private func inflated() throws -> UnsafeRawBufferPointer {
        while true {
            if stream.needsInput {
                let more = try read()
                guard !more.isEmpty || stream.isBetweenMembers else {
                    throw ArchiveError.malformed("gzip: its end is missing")
                }
                guard !more.isEmpty else { return more }
                stream.feed(more)
            }
            let count: Int
            do {
                count = try stream.inflate(into: output)
            } catch {
                throw ArchiveError.malformed(error.description)
            }
            if count > 0 { return UnsafeRawBufferPointer(rebasing: output[..<count]) }
        }
    }

    private func read() throws -> UnsafeRawBufferPointer {
        let count = try readFully(descriptor, into: input, as: "read the archive")
        bytesRead += count
        try progress(bytesRead)
        return UnsafeRawBufferPointer(rebasing: input[..<count])
    }
}
