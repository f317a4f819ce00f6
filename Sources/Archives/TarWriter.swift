import CArchive

/// Makes a tar of entries and their contents, and hands its bytes on.
final class TarWriter {
    private let handle: OpaquePointer  // struct archive *
    private let output: (UnsafeRawBufferPointer) throws -> Void
    /// Why the output took no more: C can't carry it.
    private var failure: (any Error)?

    init(output: @escaping (UnsafeRawBufferPointer) throws -> Void) throws {
        self.output = output
        handle = archive_write_new()
        // Plain ustar headers, and extended ones where they don't suffice.
        try check(archive_write_set_format_pax_restricted(handle), "make an archive")
        try check(
            archive_write_open(
                handle, Unmanaged.passUnretained(self).toOpaque(), nil,
                { _, writer, bytes, count in
                    let writer = Unmanaged<TarWriter>.fromOpaque(writer!).takeUnretainedValue()
                    return writer.take(UnsafeRawBufferPointer(start: bytes, count: count))
                }, nil), "make an archive")
    }

    deinit {
        // Otherwise, freeing ends the archive as if it were complete, and calls back.
        archive_write_fail(handle)
        archive_write_free(handle)
    }

    /// - Parameter member: for the message.
    func begin(_ entry: borrowing TarEntry, _ member: Path) throws {
        // Names are bytes: in this locale libarchive can't translate those beyond ASCII to UTF-8, so it stores them as
        // they are, marks the member with hdrcharset=BINARY, and warns of it.
        let result = inCLocale { archive_write_header(handle, entry.handle) }
        // Of other members, a warning means that the header differs from the entry.
        if result != ARCHIVE_WARN || entry.isASCII { try check(result, "archive \(member)") }
    }

    func write(_ contents: UnsafeRawBufferPointer, _ member: Path) throws {
        let count = archive_write_data(handle, contents.baseAddress, contents.count)
        try check(count == contents.count ? ARCHIVE_OK : ARCHIVE_FATAL, "archive \(member)")
    }

    func finish() throws { try check(archive_write_close(handle), "end the archive") }

    private func take(_ bytes: UnsafeRawBufferPointer) -> Int {
        do {
            try output(bytes)
            return bytes.count
        } catch {
            failure = error
            return -1
        }
    }

    private func check(_ result: Int32, _ operation: @autoclosure () -> String) throws {
        guard result != ARCHIVE_OK else { return }
        if let failure { throw failure }
        throw ArchiveError.system("\(operation()): \(libarchiveReason(handle))")
    }
}

/// libarchive's message of its last failure.
func libarchiveReason(_ archive: OpaquePointer) -> String {
    archive_error_string(archive).map { Path(cString: $0).description } ?? "no reason given"
}
