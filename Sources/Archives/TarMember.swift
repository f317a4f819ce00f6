import CArchive
import Glibc

/// A member's header, as read from an archive.
struct TarMember {
    enum MemberKind {
        case directory
        case file
        case symbolicLink(to: Path)
        case hardLink(to: Path)
        case fifo
        case other(mode_t)
    }

    let path: Path
    let kind: MemberKind
    let attributes: Attributes
    /// Of the contents.
    let size: Int

    /// - Parameter entry: `struct archive_entry *`, owned by the archive that it was read from.
    init(_ entry: OpaquePointer) {
        path = archive_entry_pathname(entry).map { Path(cString: $0) } ?? Path("")
        kind = Self.kind(of: entry)
        size = max(0, Int(archive_entry_size(entry)))
        attributes = Attributes(
            permissions: archive_entry_perm(entry),
            modified: timespec(tv_sec: archive_entry_mtime(entry), tv_nsec: archive_entry_mtime_nsec(entry)))
    }

    private static func kind(of entry: OpaquePointer) -> MemberKind {
        // Also when the header gives a type besides: a hard link is what would be made.
        if let target = archive_entry_hardlink(entry) { return .hardLink(to: Path(cString: target)) }
        switch archive_entry_filetype(entry) {
        case S_IFDIR: return .directory
        case S_IFREG: return .file
        case S_IFLNK: return .symbolicLink(to: archive_entry_symlink(entry).map { Path(cString: $0) } ?? Path(""))
        case S_IFIFO: return .fifo
        case let type: return .other(type)
        }
    }
}

/// What a member keeps of its own, besides contents. Not the owner: the installer chooses that.
struct Attributes {
    var permissions: mode_t
    let modified: timespec

    /// Without the bits that let others act as the owner: an archive doesn't grant them.
    init(permissions: mode_t, modified: timespec) {
        self.permissions = permissions & 0o777
        self.modified = modified
    }

    /// Of the last access and the last change, as utimensat takes them.
    var times: [timespec] { [modified, modified] }

    /// Of a directory that the archive doesn't mention, but puts something into.
    static let unmentioned = Attributes(permissions: 0o755, modified: timespec(tv_sec: 0, tv_nsec: utimeNow))

    /// Of a file that replaces the archive's.
    static let replacement = Attributes(permissions: 0o644, modified: timespec(tv_sec: 0, tv_nsec: utimeNow))
}

/// UTIME_NOW, a macro that Swift doesn't import.
private let utimeNow = (1 << 30) - 1

extension TarMember {
    /// Where the member belongs, below the directory that receives the tree `name`.
    ///
    /// - Returns: nil for the archive's own `./`.
    func extractionPath(below name: Path) throws(ArchiveError) -> Path? {
        if case .directory = kind, !path.isAbsolute, path.components.isEmpty { return nil }
        let place = try checkedPath(path, below: name)
        if place == name {
            guard case .directory = kind else { throw refusal("is no directory") }
        }
        return place
    }

    /// Where the file is that a hard link of the archive is to share.
    func extractionPath(ofTarget target: Path, below name: Path) throws(ArchiveError) -> Path {
        try checkedPath(target, below: name)
    }

    func refusal(_ reason: String) -> ArchiveError { .unsafe(member: path.description, reason: reason) }

    private func checkedPath(_ path: Path, below name: Path) throws(ArchiveError) -> Path {
        guard !path.isAbsolute else { throw refusal("\(path) is an absolute path") }
        // Also because what goes through it component by component would run out of stack.
        guard path.bytes.count < PATH_MAX else { throw refusal("is longer than a path can be") }
        guard !path.climbs else { throw refusal("\(path) goes up with ..") }
        guard path.components.first == name.bytes[...] else { throw refusal("\(path) is not below \(name)/") }
        return Path(path.components)
    }
}
