import CArchive
import Glibc

/// libarchive's side of reading, out of bytes that we give it.
final class ArchiveReader {
    private let handle: OpaquePointer  // struct archive *
    private let input: any ByteSource
    /// Why the input gave no more: C can't carry it.
    private var failure: (any Error)?
    /// Whether libarchive has asked for more than there was.
    private(set) var hasReadAll = false

    /// - Parameter support: chooses the formats and filters; returns what libarchive said of each.
    init(_ input: any ByteSource, support: (OpaquePointer) -> [Int32]) throws {
        self.input = input
        handle = archive_read_new()
        // ARCHIVE_WARN: it would run another program, which isn't wanted.
        for result in support(handle) { try check(result) }
        try check(
            archive_read_open(
                handle, Unmanaged.passUnretained(self).toOpaque(), nil,
                { _, reader, bytes in
                    let reader = Unmanaged<ArchiveReader>.fromOpaque(reader!).takeUnretainedValue()
                    let next = reader.supply()
                    bytes?.pointee = next?.baseAddress
                    return next?.count ?? -1
                }, nil))
    }

    deinit { archive_read_free(handle) }

    /// - Returns: `struct archive_entry *`, owned by the archive; nil at its end.
    func nextEntry() throws -> OpaquePointer? {
        var entry: OpaquePointer?
        let result = archive_read_next_header(handle, &entry)
        guard result != ARCHIVE_EOF else { return nil }
        // It warns of every name that the locale can't express, and then leaves the name as it is.
        if result != ARCHIVE_WARN { try check(result) }
        return entry
    }

    /// - Returns: some contents of the entry, good until the next call, and where they belong; nil at their end.
    func nextPiece() throws -> (bytes: UnsafeRawBufferPointer, offset: Int)? {
        var (start, count, offset): (UnsafeRawPointer?, Int, la_int64_t) = (nil, 0, 0)
        let result = archive_read_data_block(handle, &start, &count, &offset)
        guard result != ARCHIVE_EOF else { return nil }
        try check(result)
        return (UnsafeRawBufferPointer(start: start, count: count), Int(offset))
    }

    private func supply() -> UnsafeRawBufferPointer? {
        do {
            let bytes = try input.next()
            if bytes.isEmpty { hasReadAll = true }
            return bytes
        } catch {
            failure = error
            return nil
        }
    }

    private func check(_ result: Int32) throws {
        if let failure { throw failure }
        guard result == ARCHIVE_OK else { throw ArchiveError.malformed(libarchiveReason(handle)) }
    }
}

/// Runs `body` in the locale "C", where names are bytes: in others, libarchive composes what is decomposed Unicode in
/// the names of a PAX archive, and so names other files.
func inCLocale<Result>(_ body: () throws -> Result) rethrows -> Result {
    let plain = newlocale(1 << LC_CTYPE, "C", nil)
    let before = uselocale(plain)
    defer {
        uselocale(before)
        freelocale(plain)
    }
    return try body()
}

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
