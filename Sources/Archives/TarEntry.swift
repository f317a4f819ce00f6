import CArchive
import Glibc
import System

/// A member's header, to be written into a tar.
struct TarEntry: ~Copyable {
    private(set) var handle: OpaquePointer  // struct archive_entry *

    init(_ member: Path, of file: Path) {
        // Null only when out of memory, which Swift itself doesn't survive either.
        handle = archive_entry_new()
        member.withCString { archive_entry_copy_pathname(handle, $0) }
        file.withCString { archive_entry_copy_sourcepath(handle, $0) }
    }

    /// Of no file on disk; root's, as what an administrator makes.
    ///
    /// - Parameters:
    ///   - type: S_IFREG or S_IFDIR.
    ///   - time: in seconds since 1970.
    init(_ member: Path, type: mode_t, permissions: mode_t, size: Int, time: Int) {
        handle = archive_entry_new()
        member.withCString { archive_entry_copy_pathname(handle, $0) }
        archive_entry_set_filetype(handle, type)
        archive_entry_set_perm(handle, permissions)
        archive_entry_set_size(handle, Int64(size))
        archive_entry_set_mtime(handle, time, 0)
    }

    deinit { archive_entry_free(handle) }

    /// Whether its bytes are those of a member before.
    var isHardLink: Bool { archive_entry_hardlink(handle) != nil }

    /// Whether its names, and those of its owners and of its target, need no charset.
    var isASCII: Bool {
        let texts = [
            archive_entry_pathname(handle), archive_entry_hardlink(handle), archive_entry_symlink(handle),
            archive_entry_uname(handle), archive_entry_gname(handle),
        ]
        return texts.allSatisfy { text in text.map { Path(cString: $0).bytes.allSatisfy { $0 < 0x80 } } ?? true }
    }

    /// Of a symbolic link.
    func setTarget(_ target: Path) { target.withCString { archive_entry_copy_symlink(handle, $0) } }

    /// As a plain header has it. Of fractions, libarchive would keep those of a few members with long names.
    func dropFractionOfTime() { archive_entry_set_mtime(handle, archive_entry_mtime(handle), 0) }

    /// Makes it a hard link when `links` knows the file already.
    mutating func link(with links: borrowing HardLinks) { links.resolve(&handle) }
}

/// Which files were met before, under another name.
struct HardLinks: ~Copyable {
    private let handle: OpaquePointer  // struct archive_entry_linkresolver *

    init() {
        handle = archive_entry_linkresolver_new()
        archive_entry_linkresolver_set_strategy(handle, ARCHIVE_FORMAT_TAR_PAX_RESTRICTED)
    }

    deinit { archive_entry_linkresolver_free(handle) }

    /// For a tar it alters the entry in place, keeps copies only, and never holds one back.
    fileprivate func resolve(_ entry: inout OpaquePointer) {
        var given: OpaquePointer? = entry
        var heldBack: OpaquePointer?
        archive_entry_linkify(handle, &given, &heldBack)
        precondition(given == entry && heldBack == nil)
    }
}

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
            throw ArchiveError(SystemError("read", file.description, errno: archive_errno(handle)))
        }
        return entry
    }
}
