import CLinux
import Glibc
import System

/// One walk through a tree, from the top down and by name, into a tar.
struct Packing: ~Copyable {
    private let tar: TarWriter
    private let metadata = DiskMetadata()
    private let hardLinks = HardLinks()
    private let symlinks: SymlinkPolicy
    private let omitted: Set<Path>
    private let makesLinksRelative: Bool
    private let progress: (Int) throws -> Void
    private let piece = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 << 10, alignment: 4096)
    private(set) var summary = DirectoryArchive.PackingSummary()

    init(
        of directory: Path, omitting omitted: Set<Path>, seenFrom location: Path, makesLinksRelative: Bool,
        into tar: TarWriter, progress: @escaping (Int) throws -> Void
    ) throws {
        let top = try Descriptor(directory, flags: O_DIRECTORY)
        symlinks = SymlinkPolicy(top: top, locations: [location])
        self.omitted = omitted
        self.makesLinksRelative = makesLinksRelative
        self.tar = tar
        self.progress = progress
    }

    deinit { piece.deallocate() }

    mutating func add(_ file: Path, as member: Path) throws {
        var status = stat()
        try archiveCall("look at", file) { file.withCString { lstat($0, &status) } }
        switch status.kind {
        case S_IFDIR: try addDirectory(file, as: member, status)
        case S_IFREG: try addFile(file, as: member)
        case S_IFLNK: try addLink(file, as: member, status)
        case let type: summary.leftOut.append((member.description, "is a \(kind(type))"))
        }
    }

    private mutating func addDirectory(_ directory: Path, as member: Path, _ status: stat) throws {
        try begin(try metadata.entry(for: member, of: directory, status), member)
        for name in try names(in: directory).sorted() where !omitted.contains(directory.appending(name)) {
            try add(directory.appending(name), as: member.appending(name))
        }
    }

    private mutating func addLink(_ link: Path, as member: Path, _ status: stat) throws {
        let entry = try metadata.entry(for: member, of: link, status)
        guard let target = readLink(link) else { throw ArchiveError(SystemError("read", link.description)) }
        // The member's first component is the top of the tree.
        let place = Array(member.components.dropFirst().dropLast())
        if symlinks.escapes(target, from: place) {
            summary.leavingLinks.append((member.description, target.description))
        } else if makesLinksRelative, let relative = symlinks.relative(target, from: place) {
            entry.setTarget(relative)
        }
        try begin(entry, member)
    }

    private mutating func addFile(_ path: Path, as member: Path) throws {
        // Not to wait for the writer of a FIFO that took the name of the file.
        let file = try Descriptor(path, flags: O_RDONLY | O_NONBLOCK)
        let status = try asArchiveError(try file.status())
        guard status.kind == S_IFREG else {
            throw ArchiveError.changed(path: path.description, how: "is no file any more")
        }
        var entry = try metadata.entry(for: member, of: path, status)
        entry.link(with: hardLinks)
        guard !entry.isHardLink else { return try begin(entry, member) }
        try begin(entry, member)
        try copy(file, path, size: Int(status.st_size), as: member)
        // What was written over in the middle has the same size, and is neither the old file nor the new one.
        guard try asArchiveError(try file.status()).isUnchanged(since: status) else {
            throw ArchiveError.changed(path: path.description, how: "changed while it was read")
        }
    }

    private mutating func begin(_ entry: consuming TarEntry, _ member: Path) throws {
        entry.dropFractionOfTime()
        try tar.begin(entry, member)
        summary.members += 1
    }

    /// The header has promised the size: more or less would shift all that follows.
    private mutating func copy(_ file: borrowing Descriptor, _ path: Path, size: Int, as member: Path) throws {
        var left = size
        var count = 0
        repeat {
            count = try asArchiveError(try file.readAll(into: piece))
            guard count <= left else {
                throw ArchiveError.changed(
                    path: path.description,
                    how: try asArchiveError(try file.size()) > size
                        ? "grew while it was read" : "has more bytes than its size says; put a copy there")
            }
            try tar.write(UnsafeRawBufferPointer(rebasing: piece[..<count]), member)
            left -= count
            summary.bytes += count
            try progress(summary.bytes)
        } while count == piece.count
        guard left == 0 else {
            throw ArchiveError.changed(
                path: path.description,
                how: try asArchiveError(try file.size()) < size
                    ? "shrank while it was read" : "has fewer bytes than its size says; put a copy there")
        }
    }
}

extension stat {
    /// As far as a file system tells; the time of the last change also shows what was given its old time again.
    fileprivate func isUnchanged(since before: stat) -> Bool {
        (st_mtim.tv_sec, st_mtim.tv_nsec, st_ctim.tv_sec, st_ctim.tv_nsec)
            == (before.st_mtim.tv_sec, before.st_mtim.tv_nsec, before.st_ctim.tv_sec, before.st_ctim.tv_nsec)
    }
}

/// For messages.
func kind(_ type: mode_t) -> String {
    switch type {
    case S_IFSOCK: "socket"
    case S_IFIFO: "FIFO"
    case S_IFBLK, S_IFCHR: "device"
    default: "file of an unknown kind"
    }
}
