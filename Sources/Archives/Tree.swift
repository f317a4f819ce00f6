import Glibc
import System

extension Descriptor {
    /// Of a tree. A symbolic link is refused.
    init(_ path: Path, in directory: CInt = AT_FDCWD, flags: CInt = O_RDONLY) throws(ArchiveError) {
        self = try asArchiveError(
            try Descriptor(
                String(fileName: path.bytes), in: directory, flags: flags | O_NOFOLLOW, named: path.description))
    }
}

/// What the directory holds, in any order, without `.` and `..`.
func names(in path: Path, below directory: CInt = AT_FDCWD) throws(ArchiveError) -> [Path] {
    let names = try asArchiveError(
        try Directory(String(fileName: path.bytes), in: directory, flags: O_NOFOLLOW, named: path.description).names())
    return names.map { Path($0) }
}

/// Removes all that the directory holds, also what lies in directories that are read-only. Never follows a link.
func empty(_ path: Path = Path("."), below directory: CInt) throws(ArchiveError) {
    for name in try names(in: path, below: directory) {
        let path = path.appending(name)
        try remove(path, below: directory)
    }
}

private func remove(_ path: Path, below directory: CInt) throws(ArchiveError) {
    guard path.withCString({ unlinkat(directory, $0, 0) }) != 0 else { return }
    // EISDIR is Linux's for a directory, and no other process has reason to make it something else.
    guard errno == EISDIR else { throw ArchiveError(SystemError("remove", path.description)) }
    try archiveCall("remove", path) { path.withCString { fchmodat(directory, $0, 0o700, 0) } }
    try empty(path, below: directory)
    try archiveCall("remove", path) { path.withCString { unlinkat(directory, $0, AT_REMOVEDIR) } }
}
