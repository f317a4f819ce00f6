import CArchive
import Gzip
import System

/// Bytes that come a piece at a time.
protocol ByteSource: AnyObject {
    /// - Returns: what is good until the next call; nothing at the end.
    func next() throws -> UnsafeRawBufferPointer
}

/// What a descriptor has, as it is.
final class DescriptorBytes: ByteSource {
    private let descriptor: CInt
    private let progress: (Int) throws -> Void
    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 << 10, alignment: 4096)
    private var bytesRead = 0
    /// Read ahead, and not yet consumed.
    private var peeked: UnsafeRawBufferPointer?

    /// - Parameter progress: is told how many bytes were read so far, and may throw to end it.
    init(descriptor: CInt, progress: @escaping (Int) throws -> Void) {
        self.descriptor = descriptor
        self.progress = progress
    }

    deinit { buffer.deallocate() }

    func next() throws -> UnsafeRawBufferPointer {
        if let bytes = peeked.take() { return bytes }
        let count = try asArchiveError(try readAll(from: descriptor, into: buffer, named: "the archive"))
        bytesRead += count
        try progress(bytesRead)
        return UnsafeRawBufferPointer(rebasing: buffer[..<count])
    }

    /// What `next` will return.
    func peek() throws -> UnsafeRawBufferPointer {
        let bytes = try next()
        peeked = bytes
        return bytes
    }
}

/// What other bytes are in gzip.
final class GzipBytes: ByteSource {
    private let input: any ByteSource
    private let output = UnsafeMutableRawBufferPointer.allocate(byteCount: 512 << 10, alignment: 4096)
    private var stream = InflateStream()
    private var isOver = false

    init(_ input: any ByteSource) { self.input = input }

    deinit { output.deallocate() }

    func next() throws -> UnsafeRawBufferPointer {
        while !isOver {
            if stream.needsInput {
                let more = try input.next()
                guard !more.isEmpty else { return try finish() }
                stream.feed(more)
            }
            let count = try inflate()
            if count > 0 { return UnsafeRawBufferPointer(rebasing: output[..<count]) }
        }
        return UnsafeRawBufferPointer(start: nil, count: 0)
    }

    private func finish() throws -> UnsafeRawBufferPointer {
        isOver = true
        guard stream.isBetweenMembers || stream.isBeginningAnother else {
            throw ArchiveError.malformed("gzip: its end is missing")
        }
        return UnsafeRawBufferPointer(start: nil, count: 0)
    }

    private func inflate() throws -> Int {
        do {
            return try stream.inflate(into: output)
        } catch {
            // Trailing garbage behind whole members. Whether the tar was all there by then, its reader finds out.
            guard stream.isBeginningAnother else { throw ArchiveError.malformed(error.description) }
            isOver = true
            return 0
        }
    }
}

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
