import CArchive

/// The members of a tar, one after the other.
final class TarReader {
    private let handle: OpaquePointer  // struct archive *
    private let source: TarSource
    /// Why the source gave no more: C can't carry it.
    private var failure: (any Error)?

    init(_ source: TarSource) throws {
        self.source = source
        handle = archive_read_new()
        try check(archive_read_support_format_tar(handle))
        try check(
            archive_read_open(
                handle, Unmanaged.passUnretained(self).toOpaque(), nil,
                { _, reader, bytes in
                    let reader = Unmanaged<TarReader>.fromOpaque(reader!).takeUnretainedValue()
                    let next = reader.supply()
                    bytes?.pointee = next?.baseAddress
                    return next?.count ?? -1
                }, nil))
    }

    deinit { archive_read_free(handle) }

    /// - Returns: nil when the archive has ended as it should.
    func next() throws -> Member? {
        var entry: OpaquePointer?  // struct archive_entry *, owned by the archive
        let result = archive_read_next_header(handle, &entry)
        guard result != ARCHIVE_EOF else {
            try source.finish()
            return nil
        }
        // It warns of every name that the locale can't express, and then leaves the name as it is.
        if result != ARCHIVE_WARN { try check(result) }
        return entry.map { Member($0) }
    }

    /// Calls `body` with the contents of the member, and where each piece belongs: holes of sparse files are left out.
    func readContents(_ body: (UnsafeRawBufferPointer, _ offset: Int) throws -> Void) throws {
        while true {
            var (start, count, offset): (UnsafeRawPointer?, Int, la_int64_t) = (nil, 0, 0)
            let result = archive_read_data_block(handle, &start, &count, &offset)
            guard result != ARCHIVE_EOF else { return }
            try check(result)
            try body(UnsafeRawBufferPointer(start: start, count: count), Int(offset))
        }
    }

    private func supply() -> UnsafeRawBufferPointer? {
        do {
            return try source.next()
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
