import Glibc

/// Gives files of one directory other names, or names in another directory of the same file system.
///
/// The promise: each new name leads to what it led to before, until it leads to the moved file, at once; and when `move`
/// has returned, that survives a crash, as does the end of the old name. What the file holds is promised only when
/// `move` was given it, or the caller has called `synchronize` for it.
public struct DurableRename: ~Copyable {
    private let source: Descriptor
    private let target: Descriptor
    private let isWithinOne: Bool

    /// Opens the directories, which must be readable: so a missing one is an error before anything was changed.
    public init(from source: consuming Descriptor, to target: consuming Descriptor) throws(SystemError) {
        let (old, new) = (try source.status(), try target.status())
        isWithinOne = (old.st_dev, old.st_ino) == (new.st_dev, new.st_ino)
        self.source = source
        self.target = target
    }

    public init(in directory: String) throws(SystemError) {
        try self.init(
            from: Descriptor(directory, flags: O_DIRECTORY), to: Descriptor(directory, flags: O_DIRECTORY))
    }

    /// - Parameters:
    ///   - old: a name in the first directory.
    ///   - new: a name in the second one; what has it is replaced.
    ///   - file: what is moved: its bytes are on the disk before it gets its name.
    public func move(_ old: String, to new: String, file: borrowing Descriptor) throws(SystemError) {
        try file.synchronize()
        try rename(old, to: new)
        try synchronize()
    }

    /// Of a file whose bytes are on the disk.
    ///
    /// - Returns: false when there is no such file. Also then the directories are written to the disk: an earlier move
    ///   may have been cut off before that.
    public func moveIfThere(_ old: String, to new: String) throws(SystemError) -> Bool {
        var isThere = true
        do throws(SystemError) { try rename(old, to: new) } catch {
            guard error.code == ENOENT else { throw error }
            isThere = false
        }
        try synchronize()
        return isThere
    }

    private func rename(_ old: String, to new: String) throws(SystemError) {
        try systemCall("rename", path: old) { old in
            new.withFileName { new in renameat(source.number, old, target.number, new) }
        }
    }

    /// The new name first: in a crash between, the file has both rather than none.
    private func synchronize() throws(SystemError) {
        try target.synchronize()
        if !isWithinOne { try source.synchronize() }
    }
}
