import Glibc
import System

/// The owner that extracted files get.
public struct Owner: Sendable {
    let user: UInt32
    let group: UInt32

    public init(user: UInt32, group: UInt32) {
        self.user = user
        self.group = group
    }
}

/// Makes a tree of a tar, plain or compressed (gzip, bzip2, xz, LZMA, zstd), from an untrusted source: atomically,
/// all of it or nothing.
///
/// Invariant: whatever is in the archive, nothing appears outside of `root/name`, and nothing in it leads out.
public struct ArchiveExtractor: Sendable {
    private let name: Path
    private let root: Path
    private let otherPaths: [Path]
    private let owner: Owner?
    private let replacements: [Path: [UInt8]?]

    /// - Parameters:
    ///   - name: of the archive's topmost directory, and of the tree in `root`.
    ///   - root: absolute, when the archive's links shall be allowed to lead to absolute places in the tree.
    ///   - otherPaths: that lead to the root as well, and by which links may name places in the tree, too.
    ///   - owner: of all that is made; nil for the process's user. The archive's own are ignored.
    ///   - replacements: contents of files right below the top, whatever the archive has there; nil for no such file.
    public init(
        name: String, root: String, otherPaths: [String] = [], owner: Owner? = nil,
        replacements: [String: [UInt8]?] = [:]
    ) {
        self.name = Path(name)
        self.root = Path(root)
        self.otherPaths = otherPaths.map { Path($0) }
        self.owner = owner
        self.replacements = Dictionary(uniqueKeysWithValues: replacements.map { (Path($0), $1) })
    }

    public struct ExtractionSummary: Sendable {
        /// Members of any kind.
        public internal(set) var members = 0
        /// Of the files' contents, without holes.
        public internal(set) var bytes = 0
    }

    /// - Parameters:
    ///   - descriptor: is read to its end; the caller closes it.
    ///   - progress: is told how many bytes were read from the descriptor so far, and may throw to end it.
    /// - Throws: `ArchiveError`, or what `progress` threw. Then nothing stays behind.
    public func extract(from descriptor: CInt, progress: (_ bytesRead: Int) throws -> Void = { _ in }) throws
        -> ExtractionSummary
    {
        guard name.isName else { throw ArchiveError.unsafe(member: name.description, reason: "is no name of a file") }
        let root = try asArchiveError(
            try Descriptor(String(fileName: root.bytes), flags: O_DIRECTORY, named: root.description))
        try refuseExisting(in: root.number)
        let workspace = try Workspace(for: name, in: root)
        let rename = try ExclusiveRename(triedIn: workspace.directory.number)
        return try withoutActuallyEscaping(progress) { progress in
            let source = try TarSource(descriptor: descriptor, progress: progress)
            let summary = try inCLocale { try fill(workspace, from: try TarReader(source)) }
            try workspace.publish(by: rename)
            return summary
        }
    }

    /// Publishing would find out, but late.
    private func refuseExisting(in root: CInt) throws(ArchiveError) {
        var status = stat()
        guard name.withCString({ fstatat(root, $0, &status, AT_SYMLINK_NOFOLLOW) }) != 0 else {
            throw .exists(self.root.appending(name).description)
        }
    }

    private func fill(_ workspace: borrowing Workspace, from reader: TarReader) throws -> ExtractionSummary {
        var unpacking = Unpacking(
            name: name, reader: reader, into: workspace.directory.number, owner: owner, replacements: replacements)
        while let member = try reader.next() { try unpacking.add(member) }
        return try unpacking.finish(at: ([root] + otherPaths).map { $0.appending(name) })
    }
}
