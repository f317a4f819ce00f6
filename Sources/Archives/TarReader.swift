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
    func next() throws -> Member? {
        if let entry = try reader.nextEntry() { return Member(entry) }
        // libarchive ends where a block of zeros is, or where nothing is left: then it has asked for more.
        try source.finish(hasMark: !reader.hasReadAll)
        return nil
    }

    /// Calls `body` with the contents of the member, and where each piece belongs: holes of sparse files are left out.
    func readContents(_ body: (UnsafeRawBufferPointer, _ offset: Int) throws -> Void) throws {
        while let (bytes, offset) = try reader.nextPiece() { try body(bytes, offset) }
    }
}
