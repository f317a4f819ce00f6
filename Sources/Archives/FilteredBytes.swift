import CArchive

/// What other bytes are in xz, bzip2, zstd or LZMA, by libarchive's filters: unlike its one for gzip, these look at
/// checksums.
final class FilteredBytes: ByteSource {
    /// How such files begin.
    private static let magics: [[UInt8]] = [
        [0xfd] + Array("7zXZ\0".utf8), Array("BZh".utf8), [0x28, 0xb5, 0x2f, 0xfd], [0x5d, 0, 0],
    ]

    static func recognizes(_ beginning: UnsafeRawBufferPointer) -> Bool {
        magics.contains { beginning.starts(with: $0) }
    }

    private let reader: ArchiveReader

    init(_ input: any ByteSource) throws {
        reader = try ArchiveReader(input) { handle in
            [
                archive_read_support_filter_xz(handle), archive_read_support_filter_bzip2(handle),
                archive_read_support_filter_zstd(handle), archive_read_support_filter_lzma(handle),
                archive_read_support_format_raw(handle),
            ]
        }
        _ = try reader.nextEntry()
    }

    func next() throws -> UnsafeRawBufferPointer {
        try reader.nextPiece()?.bytes ?? UnsafeRawBufferPointer(start: nil, count: 0)
    }
}
