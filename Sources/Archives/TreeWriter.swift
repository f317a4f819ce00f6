import CLinux
import Glibc
import System

/// Makes an archive's members below a private directory, each under a name that was free, or that of
/// an earlier member of the same kind: what was appended to an archive replaces what it has already.
///
/// Symbolic links are made last, when all that other members need lies there as real directories: so nothing is ever
/// written through one.
struct TreeWriter: ~Copyable {
    private let directory: CInt
    private let owner: Owner?
    private var directories: [Path: Attributes] = [:]
    private var hardLinks: Set<Path> = []
    private var links: [Path: (target: Path, attributes: Attributes)] = [:]

    /// - Parameter directory: open as long as the writer is in use.
    init(directory: CInt, owner: Owner?) {
        self.directory = directory
        self.owner = owner
    }

    // MARK: While the archive is read

    mutating func makeDirectory(_ path: Path, _ attributes: Attributes) throws(ArchiveError) {
        try makeDirectories(path)
        directories[path] = attributes
    }

    /// - Parameter fill: writes the contents.
    mutating func makeFile(
        _ path: Path, _ attributes: Attributes, fill: (borrowing Descriptor) throws -> Void
    ) throws {
        try makeDirectories(path.parent)
        let file = Descriptor(
            owning: try make(path, over: S_IFREG) {
                openat(directory, $0, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
            }, named: path.description)
        hardLinks.remove(path)
        try fill(file)
        try settle(file, path, attributes)
    }

    mutating func makeFIFO(_ path: Path, _ attributes: Attributes) throws(ArchiveError) {
        try makeDirectories(path.parent)
        try make(path, over: S_IFIFO) { mkfifoat(directory, $0, 0o600) }
        // So that opening it doesn't block until it has a writer.
        try settle(try Descriptor(path, in: directory, flags: O_RDONLY | O_NONBLOCK), path, attributes)
    }

    /// To a symbolic link, it is another one with the same target, which is judged from its own directory.
    mutating func makeHardLink(_ path: Path, to target: Path) throws {
        if let link = links[target] { return try noteLink(path, to: link.target, link.attributes) }
        try makeDirectories(path.parent)
        guard path != target, [S_IFREG, S_IFIFO].contains(type(of: target)) else {
            throw ArchiveError.unsafe(
                member: path.description, reason: "is a hard link to \(target), which is no file before it")
        }
        let replaced: mode_t? = hardLinks.contains(path) ? S_IFREG : nil
        var isRefused = false
        try make(path, over: replaced) { name in
            let result = target.withCString { linkat(directory, $0, directory, name, 0) }
            // The file system has no hard links, or no more of this file.
            isRefused = result != 0 && [EPERM, EOPNOTSUPP, ENOSYS, EMLINK].contains(errno)
            return isRefused ? 0 : result
        }
        if isRefused { try copy(target, to: path) }
        hardLinks.insert(path)
    }

    private mutating func copy(_ original: Path, to path: Path) throws {
        let source = try Descriptor(original, in: directory, flags: O_RDONLY | O_NONBLOCK)
        let status = try asArchiveError(try source.status())
        try makeFile(path, Attributes(permissions: status.st_mode, modified: status.st_mtim)) { file in
            try withUnsafeTemporaryAllocation(byteCount: 256 << 10, alignment: 4096) { piece in
                var offset = 0
                while case let count = try asArchiveError(try source.readAll(into: piece)), count > 0 {
                    try asArchiveError(
                        try file.writeAll(UnsafeRawBufferPointer(rebasing: piece[..<count]), at: offset))
                    offset += count
                }
            }
        }
    }

    /// Its directory is made now, before any link is: so it never lies behind one.
    mutating func noteLink(_ path: Path, to target: Path, _ attributes: Attributes) throws(ArchiveError) {
        try makeDirectories(path.parent)
        links[path] = (target, attributes)
    }

    /// The directory and all above it, where they are missing.
    private mutating func makeDirectories(_ path: Path) throws(ArchiveError) {
        guard !path.bytes.isEmpty, directories[path] == nil else { return }
        try makeDirectories(path.parent)
        try make(path) { mkdirat(directory, $0, 0o700) }
        directories[path] = .unmentioned
    }

    /// As S_IFREG; nil when nothing is there.
    private func type(of path: Path) -> mode_t? {
        var status = stat()
        let result = path.withCString { fstatat(directory, $0, &status, AT_SYMLINK_NOFOLLOW) }
        return result == 0 ? status.kind : nil
    }

    /// Passes on what `call` returned.
    ///
    /// - Parameter replaced: the type of an earlier member that may have the name, and goes.
    @discardableResult
    private func make(
        _ path: Path, over replaced: mode_t? = nil, _ call: (UnsafePointer<CChar>) -> CInt
    ) throws(ArchiveError) -> CInt {
        let result = path.withCString(call)
        guard result < 0 else { return result }
        switch errno {
        case EEXIST:
            guard let replaced, type(of: path) == replaced, path.withCString({ unlinkat(directory, $0, 0) }) == 0 else {
                throw .unsafe(member: path.description, reason: "has the name of another member")
            }
            return try make(path, call)
        case ENAMETOOLONG: throw .unsafe(member: path.description, reason: "is longer than the file system takes")
        default: throw ArchiveError(SystemError("make", path.description))
        }
    }

    // MARK: When it was read

    /// Makes the links, and gives the directories what is theirs, which until now had to be open for writing.
    ///
    /// - Parameter escapes: whether the link that was made there, with that target, leads out of the tree.
    mutating func finish(escapes: (Path, _ target: Path) -> Bool) throws(ArchiveError) {
        let links = links.sorted { $0.key < $1.key }
        for (path, link) in links {
            try make(path) { name in link.target.withCString { symlinkat($0, directory, name) } }
            try settleLink(path, link.attributes)
        }
        // Only now, as a link may lead through others.
        for (path, link) in links where escapes(path, link.target) {
            throw .unsafe(member: path.description, reason: "links to \(link.target), out of the tree")
        }
        // From below: what is made in a directory changes its time.
        for (path, attributes) in directories.sorted(by: { $0.key > $1.key }) {
            try settle(try Descriptor(path, in: directory, flags: O_DIRECTORY), path, attributes)
        }
    }

    private func settle(_ file: borrowing Descriptor, _ path: Path, _ attributes: Attributes) throws(ArchiveError) {
        if let owner {
            try archiveCall("change the owner of", path) { fchown(file.number, owner.user, owner.group) }
        }
        try archiveCall("change the permissions of", path) { fchmod(file.number, attributes.permissions) }
        try archiveCall("change the time of", path) { futimens(file.number, attributes.times) }
    }

    private func settleLink(_ path: Path, _ attributes: Attributes) throws(ArchiveError) {
        if let owner {
            try archiveCall("change the owner of", path) {
                path.withCString { fchownat(directory, $0, owner.user, owner.group, AT_SYMLINK_NOFOLLOW) }
            }
        }
        try archiveCall("change the time of", path) {
            path.withCString { utimensat(directory, $0, attributes.times, AT_SYMLINK_NOFOLLOW) }
        }
    }
}
