import CArchive
import Glibc

/// Whether a file is an archive that nodes can read: a tar, plain or in gzip, bzip2 or xz, as Python's tarfile opens it.
public struct ArchiveInspection {
    /// - Parameters:
    ///   - descriptor: is read to the archive's end, and stays open.
    ///   - top: the name of the directory that must be in it.
    ///   - progress: is told how far it was read, in bytes, may block, and returns whether to go on.
    /// - Returns: what is wrong with it; nil: nothing.
    public static func problem(of descriptor: CInt, top: String, progress: (_ bytesRead: Int) -> Bool) -> String? {
        inCLocale {
            var reader = Self()
            defer { archive_read_free(reader.handle) }
            return reader.problem(of: descriptor, top: top, progress)
        }
    }

    private let handle = archive_read_new()  // struct archive *

    private mutating func problem(of descriptor: CInt, top: String, _ progress: (Int) -> Bool) -> String? {
        guard archive_read_support_format_tar(handle) == ARCHIVE_OK else { return reason }
        // One at most, as tarfile has it. Where libarchive chooses, it takes any number, and nothing bounds its work.
        if let filter = Self.filter(of: descriptor), archive_read_append_filter(handle, filter) != ARCHIVE_OK {
            return reason
        }
        guard archive_read_open_fd(handle, descriptor, 256 << 10) == ARCHIVE_OK else { return reason }
        var hasTop = false
        while true {
            var entry: OpaquePointer?  // struct archive_entry *, owned by the archive
            let result = archive_read_next_header(handle, &entry)
            // It warns of every name that the locale can't express.
            guard result == ARCHIVE_OK || result == ARCHIVE_WARN else {
                return result == ARCHIVE_EOF ? hasTop ? nil : "it has no \(top)/" : reason
            }
            hasTop = hasTop || entry.map { TarMember($0).path.components.first == Path(top).components.first } == true
            if let problem = problemOfContents(descriptor, progress) { return problem }
        }
    }

    /// Which compression the file's beginning tells of; nil: none.
    private static func filter(of descriptor: CInt) -> CInt? {
        var beginning = [UInt8](repeating: 0, count: 6)
        let count = pread(descriptor, &beginning, beginning.count, 0)
        let magics: [([UInt8], CInt)] = [
            ([0x1f, 0x8b], ARCHIVE_FILTER_GZIP), (Array("BZh".utf8), ARCHIVE_FILTER_BZIP2),
            ([0xfd] + Array("7zXZ\0".utf8), ARCHIVE_FILTER_XZ),
        ]
        return magics.first { beginning.prefix(max(count, 0)).starts(with: $0.0) }?.1
    }

    /// Of one member.
    private func problemOfContents(_ descriptor: CInt, _ progress: (Int) -> Bool) -> String? {
        // A small archive may become endless, and have very many members with nothing in them.
        while progress(Int(lseek(descriptor, 0, SEEK_CUR))) {
            var (start, count, offset): (UnsafeRawPointer?, Int, la_int64_t) = (nil, 0, 0)
            let result = archive_read_data_block(handle, &start, &count, &offset)
            guard result == ARCHIVE_OK else { return result == ARCHIVE_EOF ? nil : reason }
        }
        return "it takes too long to read"
    }

    private var reason: String { libarchiveReason(handle!) }
}
