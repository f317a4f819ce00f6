import CArchive

/// What other bytes are in xz, bzip2, zstd or LZMA, by libarchive's filters: unlike its one for gzip, these look at
/// checksums.
final class FilteredBytes: ByteSource {
    /// How such files begin, and what reads them.
    private static let filters: [(magic: [UInt8], code: CInt)] = [
        ([0xfd] + Array("7zXZ\0".utf8), ARCHIVE_FILTER_XZ), (Array("BZh".utf8), ARCHIVE_FILTER_BZIP2),
        ([0x28, 0xb5, 0x2f, 0xfd], ARCHIVE_FILTER_ZSTD), ([0x5d, 0, 0], ARCHIVE_FILTER_LZMA),
    ]

    /// - Returns: libarchive's number of the filter that reads it; nil when it is none of these.
    static func filter(for beginning: UnsafeRawBufferPointer) -> CInt? {
        filters.first { beginning.starts(with: $0.magic) }?.code
    }

    private let reader: ArchiveReader

    init(_ input: any ByteSource, filter: CInt) throws {
        reader = try ArchiveReader(input) { handle in
            // One, as tarfile has it. Where libarchive chooses, it takes any number, and nothing bounds its work.
            [archive_read_append_filter(handle, filter), archive_read_support_format_raw(handle)]
        }
        _ = try reader.nextEntry()
    }

    func next() throws -> UnsafeRawBufferPointer {
        try reader.nextPiece()?.bytes ?? UnsafeRawBufferPointer(start: nil, count: 0)
    }
}
