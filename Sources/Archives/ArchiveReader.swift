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
