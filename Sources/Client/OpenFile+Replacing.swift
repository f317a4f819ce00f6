import CLinux
import Glibc
import System

extension OpenFile {
    /// Writes all of it to a pipe, a terminal, or a file from where that stands on.
    func copy(to descriptor: Int32, _ what: String) throws {
        try forEachPiece { piece in
            var done = 0
            while done < piece.count {
                done += Int(
                    try system(what) {
                        Int32(Glibc.write(descriptor, piece.baseAddress! + done, piece.count - done))
                    })
            }
        }
    }

    /// Writes all of it into a file that stays the same one, with all its names.
    ///
    /// That isn't done at once: who reads meanwhile sees a beginning, and so does who comes after a crash.
    ///
    /// - Throws: `SystemFailure`. When there is no room for all, the old contents are still there; after another
    ///   failure the file is empty.
    func copy(over path: String) throws {
        // Not to make one: with O_CREAT the kernel refuses somebody else's file where everybody may write
        // (protected_regular in proc(5)).
        let target = try OpenFile(path, flags: O_WRONLY | O_CREAT | O_NOFOLLOW | O_NOCTTY, mode: 0o600)
        try target.reserve(try size())
        try system(path) { ftruncate(target.descriptor, 0) }
        do {
            try copy(to: target.descriptor, path)
            try target.synchronize()
        } catch let failure as SystemFailure {
            ftruncate(target.descriptor, 0)
            throw SystemFailure(
                path, errno: failure.code, consequence: "; it could only be written in place, and is empty now")
        }
    }

    /// Sees to it that so many bytes have room, where the file system can tell.
    private func reserve(_ count: Int) throws(SystemFailure) {
        let old = try size()
        guard count > 0, fallocate(descriptor, falloc_keep_size, 0, count) != 0 else { return }
        let failure = SystemFailure(path, consequence: "; it holds what it held")
        // Some file systems keep the room that they had found, behind the end.
        ftruncate(descriptor, off_t(old))
        guard ![ENOSPC, EDQUOT, EFBIG].contains(failure.code) else { throw failure }
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
        guard isItsOwn || fchown(descriptor, old.st_uid, old.st_gid) == 0 else { return false }
        let wanted = ExtendedAttributes(of: path)
        return wanted.apply(to: self) && fchmod(descriptor, old.st_mode & 0o777) == 0
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

    private init(of file: OpenFile) {
        self.init(
            list: { flistxattr(file.descriptor, $0, $1) }, get: { fgetxattr(file.descriptor, $0, $1, $2) })
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
    func apply(to file: OpenFile) -> Bool {
        // A capability isn't for other bytes than those that got it.
        guard values[Array("security.capability".utf8)] == nil else { return false }
        let present = ExtendedAttributes(of: file)
        for (name, value) in values where present.values[name] != value {
            _ = String(fileName: name).withFileName { fsetxattr(file.descriptor, $0, value, value.count, 0) }
        }
        for name in present.values.keys where values[name] == nil {
            _ = String(fileName: name).withFileName { fremovexattr(file.descriptor, $0) }
        }
        return ExtendedAttributes(of: file) == self
    }
}
