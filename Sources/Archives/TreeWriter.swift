import Glibc

/// Makes an archive's members below a directory that nobody else can reach, each under a name that was free.
///
/// Symbolic links are made last, when all that other members need lies there as real directories: so nothing is ever
/// written through one.
struct TreeWriter: ~Copyable {
    private let directory: CInt
    private let owner: Owner?
    private var directories: [Path: Attributes] = [:]
    private var links: [(path: Path, target: Path, attributes: Attributes)] = []

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
            owning: try make(path) { openat(directory, $0, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600) })
        try fill(file)
        try settle(file, path, attributes)
    }

    mutating func makeHardLink(_ path: Path, to target: Path) throws(ArchiveError) {
        try makeDirectories(path.parent)
        guard isFile(target) else {
            throw .unsafe(member: path.description, reason: "is a hard link to \(target), which is no file before it")
        }
        try make(path) { name in target.withCString { linkat(directory, $0, directory, name, 0) } }
    }

    /// Its directory is made now, before any link is: so it never lies behind one.
    mutating func noteLink(_ path: Path, to target: Path, _ attributes: Attributes) throws(ArchiveError) {
        try makeDirectories(path.parent)
        links.append((path, target, attributes))
    }

    /// The directory and all above it, where they are missing.
    private mutating func makeDirectories(_ path: Path) throws(ArchiveError) {
        guard !path.bytes.isEmpty, directories[path] == nil else { return }
        try makeDirectories(path.parent)
        try make(path) { mkdirat(directory, $0, 0o700) }
        directories[path] = .unmentioned
    }

    private func isFile(_ path: Path) -> Bool {
        var status = stat()
        let result = path.withCString { fstatat(directory, $0, &status, AT_SYMLINK_NOFOLLOW) }
        return result == 0 && status.st_mode & S_IFMT == S_IFREG
    }

    /// Passes on what `call` returned. Nothing is replaced: what has the name is another member.
    @discardableResult
    private func make(_ path: Path, _ call: (UnsafePointer<CChar>) -> CInt) throws(ArchiveError) -> CInt {
        let result = path.withCString(call)
        guard result < 0 else { return result }
        guard errno != EEXIST else {
            throw .unsafe(member: path.description, reason: "has the name of another member")
        }
        throw ArchiveError("make \(path)")
    }

    // MARK: When it was read

    /// Makes the links, and gives the directories what is theirs, which until now had to be open for writing.
    ///
    /// - Parameter leaves: whether the link that was made there, with that target, leads out of the tree.
    mutating func finish(leaves: (Path, _ target: Path) -> Bool) throws(ArchiveError) {
        for link in links {
            try make(link.path) { name in link.target.withCString { symlinkat($0, directory, name) } }
            try settleLink(link.path, link.attributes)
        }
        // Only now, as a link may lead through others.
        for link in links where leaves(link.path, link.target) {
            throw .unsafe(member: link.path.description, reason: "links to \(link.target), out of the tree")
        }
        // From below: what is made in a directory changes its time.
        for (path, attributes) in directories.sorted(by: { $0.key > $1.key }) {
            try settle(try Descriptor(path, in: directory, flags: O_DIRECTORY), path, attributes)
        }
    }

    private func settle(_ file: borrowing Descriptor, _ path: Path, _ attributes: Attributes) throws(ArchiveError) {
        if let owner {
            try system("change the owner of \(path)") { fchown(file.number, owner.user, owner.group) }
        }
        try system("change the permissions of \(path)") { fchmod(file.number, attributes.permissions) }
        try system("change the time of \(path)") { futimens(file.number, attributes.times) }
    }

    private func settleLink(_ path: Path, _ attributes: Attributes) throws(ArchiveError) {
        if let owner {
            try system("change the owner of \(path)") {
                path.withCString { fchownat(directory, $0, owner.user, owner.group, AT_SYMLINK_NOFOLLOW) }
            }
        }
        try system("change the time of \(path)") {
            path.withCString { utimensat(directory, $0, attributes.times, AT_SYMLINK_NOFOLLOW) }
        }
    }
}
