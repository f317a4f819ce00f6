import CArchive
import Glibc

/// Fills entries with what the file system knows of a file: no more than Python's `tarfile` keeps.
struct DiskMetadata: ~Copyable {
    private let handle: OpaquePointer  // struct archive *

    init() {
        handle = archive_read_disk_new()
        archive_read_disk_set_standard_lookup(handle)
        archive_read_disk_set_behavior(
            handle,
            ARCHIVE_READDISK_NO_XATTR | ARCHIVE_READDISK_NO_ACL | ARCHIVE_READDISK_NO_FFLAGS
                | ARCHIVE_READDISK_NO_SPARSE)
    }

    deinit { archive_read_free(handle) }

    func entry(for member: Path, of file: Path, _ status: stat) throws(ArchiveError) -> TarEntry {
        let entry = TarEntry(member, of: file)
        var status = status
        guard archive_read_disk_entry_from_file(handle, entry.handle, -1, &status) == ARCHIVE_OK else {
            throw ArchiveError("read \(file)", errno: archive_errno(handle))
        }
        return entry
    }
}
