import CLinux
import Glibc
import System

/// How a directory is moved to a name without replacing what may have it.
enum ExclusiveRename {
    /// By RENAME_NOREPLACE.
    case byFlag
    /// Where the file system knows no flags (FUSE, NFS and others may not): over an empty directory of our own, since
    /// that is what rename replaces. A crash in between leaves the empty one.
    case overOwn

    /// Finds out by trying, so that it is known before there is something to lose.
    ///
    /// - Parameter directory: ours alone, on the file system in question.
    init(triedIn directory: CInt) throws(ArchiveError) {
        let trial = Path("trial")
        let other = Path("other")
        defer { for name in [trial, other] { Self.removeDirectory(name, in: directory) } }
        try Self.makeDirectory(trial, in: directory)
        guard Self.rename(trial, in: directory, to: other, in: directory, rename_noreplace) != 0 else {
            self = .byFlag
            return
        }
        guard [EINVAL, ENOSYS, EOPNOTSUPP].contains(errno) else {
            throw ArchiveError(SystemError("rename a directory in the root"))
        }
        try Self.makeDirectory(other, in: directory)
        try archiveCall("rename a directory in the root, whose file system can't do it without replacing") {
            Self.rename(trial, in: directory, to: other, in: directory)
        }
        self = .overOwn
    }

    /// - Throws: `ArchiveError.exists` when the name is taken there.
    func move(_ name: Path, from source: CInt, to destination: CInt) throws(ArchiveError) {
        switch self {
        case .byFlag:
            guard Self.rename(name, in: source, to: name, in: destination, rename_noreplace) == 0 else {
                throw Self.failure(name)
            }
        case .overOwn:
            try Self.makeDirectory(name, in: destination)
            guard Self.rename(name, in: source, to: name, in: destination) == 0 else {
                let failure = Self.failure(name)
                Self.removeDirectory(name, in: destination)
                throw failure
            }
        }
    }

    /// ENOTEMPTY: something was put into our own directory meanwhile.
    private static func failure(_ name: Path) -> ArchiveError {
        [EEXIST, ENOTEMPTY].contains(errno)
            ? .exists(name.description) : ArchiveError(SystemError("rename the tree to", name.description))
    }

    private static func makeDirectory(_ name: Path, in directory: CInt) throws(ArchiveError) {
        guard name.withCString({ mkdirat(directory, $0, 0o700) }) == 0 else {
            throw errno == EEXIST
                ? .exists(name.description) : ArchiveError(SystemError("make a directory in the root"))
        }
    }

    /// When it is empty.
    private static func removeDirectory(_ name: Path, in directory: CInt) {
        _ = name.withCString { unlinkat(directory, $0, AT_REMOVEDIR) }
    }

    private static func rename(
        _ old: Path, in source: CInt, to new: Path, in destination: CInt, _ flags: UInt32 = 0
    ) -> CInt {
        old.withCString { old in new.withCString { renameat2(source, old, destination, $0, flags) } }
    }
}
