import CArchive
import CLinux
import Glibc
import System

/// A private directory, beside the place where a tree shall appear. It is removed with its owner.
///
/// Its lock marks it as in use. One that a killed process left behind is unlocked, and removed by the next
/// extraction of the same tree.
struct Workspace: ~Copyable {
    private let tree: Path
    private let root: Descriptor
    private let name: Path
    let directory: Descriptor

    init(for tree: Path, in root: consuming Descriptor) throws(ArchiveError) {
        // One at a time: between its making and its locking, a workspace looks like a leftover. A file system without
        // locks goes without sweeping, too.
        flock(root.number, LOCK_EX)
        Self.sweep(WorkspaceName.all(for: tree, in: root.number), in: root.number)
        let name = WorkspaceName.new(for: tree)
        try archiveCall("make a directory in the root") { name.withCString { mkdirat(root.number, $0, 0o700) } }
        directory = try Descriptor(name, in: root.number, flags: O_DIRECTORY)
        flock(directory.number, LOCK_EX | LOCK_NB)
        flock(root.number, LOCK_UN)
        self.tree = tree
        self.root = root
        self.name = name
    }

    deinit { Self.remove(name, directory, in: root.number) }

    /// Makes the finished tree visible under its final name, where nothing may be: readers see all of it or nothing,
    /// and after this returns it survives a crash.
    func publish(by rename: ExclusiveRename) throws(ArchiveError) {
        // One call for thousands of files, and it also reports writes that failed behind our back.
        try archiveCall("write the tree to the disk") { syncfs(root.number) }
        let permissions = try self.permissions()
        // Moving a directory changes the `..` in it.
        chmod(permissions | 0o200, in: directory.number)
        try rename.move(tree, from: directory.number, to: root.number)
        chmod(permissions, in: root.number)
        try archiveCall("write the root to the disk") { fsync(root.number) }
    }

    private func permissions() throws(ArchiveError) -> mode_t {
        var status = stat()
        try archiveCall("look at", tree) {
            tree.withCString { fstatat(directory.number, $0, &status, AT_SYMLINK_NOFOLLOW) }
        }
        return status.st_mode & 0o777
    }

    private func chmod(_ permissions: mode_t, in directory: CInt) {
        _ = tree.withCString { fchmodat(directory, $0, permissions, 0) }
    }

    // MARK: Removal

    private static func sweep(_ names: [Path], in root: CInt) {
        for name in names {
            guard let leftover = try? Descriptor(name, in: root, flags: O_DIRECTORY) else { continue }
            guard flock(leftover.number, LOCK_EX | LOCK_NB) == 0 else { continue }
            remove(name, leftover, in: root)
        }
    }

    /// As far as possible: the next extraction tries again.
    private static func remove(_ name: Path, _ directory: borrowing Descriptor, in root: CInt) {
        try? empty(below: directory.number)
        _ = name.withCString { unlinkat(root, $0, AT_REMOVEDIR) }
    }
}

/// How workspaces are called: `.TREE.`, then sixteen hexadecimal digits, so that none belongs to two trees.
enum WorkspaceName {
    private static let digits = Array("0123456789abcdef".utf8)
    private static let count = 16

    private static func prefix(for tree: Path) -> [UInt8] { Array(".".utf8) + tree.bytes + Array(".".utf8) }

    static func new(for tree: Path) -> Path {
        let random = (0..<count).map { _ in digits.randomElement()! }
        return Path([(prefix(for: tree) + random)[...]])
    }

    /// Those that there are.
    static func all(for tree: Path, in root: CInt) -> [Path] {
        let prefix = prefix(for: tree)
        let names = (try? names(in: Path("."), below: root)) ?? []
        return names.filter { name in
            let rest = name.bytes.dropFirst(prefix.count)
            return name.bytes.starts(with: prefix) && rest.count == count && rest.allSatisfy(digits.contains)
        }
    }
}
