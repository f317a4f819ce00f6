import CArchive

/// The members of a tar, one after the other.
final class TarReader {
    private let source: TarSource
    private let reader: ArchiveReader

    init(_ source: TarSource) throws {
        self.source = source
        reader = try ArchiveReader(source) { [archive_read_support_format_tar($0)] }
    }

    /// - Returns: nil when the archive has ended as it should.
    func next() throws -> TarMember? {
        if let entry = try reader.nextEntry() { return TarMember(entry) }
        // libarchive ends where a block of zeros is, or where nothing is left: then it has asked for more.
        try source.finish(hasMark: !reader.hasReadAll)
        return nil
    }

    /// Calls `body` with the contents of the member, and where each piece belongs: holes of sparse files are left out.
    func readContents(_ body: (UnsafeRawBufferPointer, _ offset: Int) throws -> Void) throws {
        while let (bytes, offset) = try reader.nextPiece() { try body(bytes, offset) }
    }
}

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

    /// Reads on behind the last member: only the end shows whether the archive is complete and intact.
    ///
    /// - Parameter hasMark: whether the tar's end was seen, so that all that follows is none of it.
    func finish(hasMark: Bool) throws {
        while try !next().isEmpty {}
        // Two blocks of zeros end every tar (POSIX pax, "ustar Interchange Format").
        guard hasMark || zerosAtEnd >= 1024 else { throw ArchiveError.malformed("its end is missing") }
    }
}
