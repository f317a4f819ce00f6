/// The bytes of a tar, out of a descriptor that has them plain or compressed.
final class TarSource: ByteSource {
    private let bytes: any ByteSource
    private var zerosAtEnd = 0

    /// - Parameter progress: is told how many bytes were read from the descriptor so far, and may throw to end it.
    init(descriptor: CInt, progress: @escaping (Int) throws -> Void) throws {
        let plain = DescriptorBytes(descriptor: descriptor, progress: progress)
        let beginning = try plain.peek()
        bytes =
            if beginning.starts(with: [0x1f, 0x8b]) {
                GzipBytes(plain)
            } else if let filter = FilteredBytes.filter(for: beginning) {
                try FilteredBytes(plain, filter: filter)
            } else {
                plain
            }
    }

    func next() throws -> UnsafeRawBufferPointer {
        let bytes = try bytes.next()
        let zerosFrom = bytes.lastIndex { $0 != 0 }.map { $0 + 1 } ?? 0
        zerosAtEnd = (zerosFrom == 0 ? zerosAtEnd : 0) + bytes.count - zerosFrom
        return bytes
    }

    /// Reads what stands behind the last member: only the end tells whether the archive is all there, and intact.
    ///
    /// - Parameter hasMark: whether the tar's end was seen, so that all that follows is none of it.
    func finish(hasMark: Bool) throws {
        while try !next().isEmpty {}
        // Two blocks of zeros end every tar (POSIX pax, "ustar Interchange Format").
        guard hasMark || zerosAtEnd >= 1024 else { throw ArchiveError.malformed("its end is missing") }
    }
}
