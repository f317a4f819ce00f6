import CLinux
import Glibc
import System

/// A file that could neither be replaced nor be written in place.
struct OverwriteError: Error, CustomStringConvertible {
    let cause: SystemError
    /// What the file holds now, for the message.
    let consequence: String

    var description: String { "\(cause); \(consequence)" }
}

extension Descriptor {
    /// Writes all of it to a pipe, a terminal, or a file from its position on.
    ///
    /// - Parameter name: what messages call that.
    func copy(to number: CInt, named name: String) throws {
        rewind()
        try forEachPiece { try System.writeAll($0, to: number, named: name) }
    }

    /// Writes all of it into a file that stays the same one, with all its names.
    ///
    /// That isn't atomic: a reader sees a beginning meanwhile, and so does the next one after a crash.
    ///
    /// - Throws: `SystemError`, or `OverwriteError`. When there is no room for all, the old contents are still there;
    ///   after another failure the file is empty.
    func copy(over path: String) throws {
        // Not to make one: with O_CREAT the kernel refuses somebody else's file where everybody may write
        // (protected_regular in proc(5)).
        let target = try Descriptor(path, flags: O_WRONLY | O_CREAT | O_NOFOLLOW | O_NOCTTY, mode: 0o600)
        try target.reserve(try size())
        try target.truncate(to: 0)
        do {
            try copy(to: target.number, named: path)
            try target.synchronize()
        } catch let error as SystemError {
            ftruncate(target.number, 0)
            throw OverwriteError(cause: error, consequence: "it could only be written in place, and is empty now")
        }
    }

    /// Sees to it that so many bytes have room, where the file system can tell.
    private func reserve(_ count: Int) throws {
        let old = try size()
        guard count > 0, fallocate(number, falloc_keep_size, 0, count) != 0 else { return }
        let error = SystemError("write", name)
        // Some file systems keep the room that they had found, behind the end.
        ftruncate(number, off_t(old))
        guard ![ENOSPC, EDQUOT, EFBIG].contains(error.code) else {
            throw OverwriteError(cause: error, consequence: "it holds what it held")
        }
    }

    /// Gives the file what was chosen for the one that it is to replace: mode, owner, access list, attributes.
    ///
    /// - Returns: whether it differs in nothing but its bytes now.
    func adoptAttributes(of path: String) -> Bool {
        // The other names would keep the old bytes; and what acts as its owner is for the kernel to judge.
        guard let old = try? fileStatus(path, following: false), old.st_nlink == 1,
            old.st_mode & (S_ISUID | S_ISGID | S_ISVTX) == 0, let own = try? status()
        else { return false }
        let isItsOwn = (own.st_uid, own.st_gid) == (old.st_uid, old.st_gid)
        guard isItsOwn || fchown(number, old.st_uid, old.st_gid) == 0 else { return false }
        let wanted = ExtendedAttributes(of: path)
        return wanted.apply(to: self) && fchmod(number, old.st_mode & 0o777) == 0
    }
}

/// What a file has besides bytes, by name: POSIX access lists, labels, what users attach.
private struct ExtendedAttributes: Equatable {
    private var values: [[UInt8]: [UInt8]] = [:]

    init(of path: String) {
        self.init(
            list: { buffer, size in path.withFileName { listxattr($0, buffer, size) } },
            get: { name, buffer, size in path.withFileName { getxattr($0, name, buffer, size) } })
    }

    private init(of file: borrowing Descriptor) {
        let number = file.number
        self.init(list: { flistxattr(number, $0, $1) }, get: { fgetxattr(number, $0, $1, $2) })
    }

    /// A file system without them has none.
    private init(
        list: (UnsafeMutablePointer<CChar>?, Int) -> Int,
        get: (UnsafePointer<CChar>, UnsafeMutableRawPointer?, Int) -> Int
    ) {
        var names = [CChar](repeating: 0, count: max(0, list(nil, 0)))
        let count = names.isEmpty ? 0 : list(&names, names.count)
        for name in names.prefix(max(0, count)).split(separator: 0) {
            let terminated = Array(name) + [0]
            var value = [UInt8](repeating: 0, count: max(0, get(terminated, nil, 0)))
            let size = get(terminated, &value, value.count)
            values[name.map { UInt8(bitPattern: $0) }] = Array(value.prefix(max(0, size)))
        }
    }

    /// - Returns: whether the file has exactly these now.
    func apply(to file: borrowing Descriptor) -> Bool {
        let number = file.number
        // A capability isn't for other bytes than those that got it.
        guard values[Array("security.capability".utf8)] == nil else { return false }
        let present = ExtendedAttributes(of: file)
        for (name, value) in values where present.values[name] != value {
            _ = String(fileName: name).withFileName { fsetxattr(number, $0, value, value.count, 0) }
        }
        for name in present.values.keys where values[name] == nil {
            _ = String(fileName: name).withFileName { fremovexattr(number, $0) }
        }
        return ExtendedAttributes(of: file) == self
    }
}
