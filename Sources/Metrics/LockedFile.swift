import CLinux
import Glibc

/// A file that is this process's as long as it is open. The lock ends with the process, however it ends.
final class LockedFile {
    let descriptor: Int32

    /// Takes the file, and makes it when it isn't there.
    ///
    /// - Returns: nil when another process has it.
    /// - Throws: `SlotError`, with what the system said.
    init?(path: String) throws(SlotError) {
        descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o640)
        guard descriptor >= 0 else { throw SlotError(path) }
        var lock = Self.wholeFile
        guard fcntl(descriptor, f_ofd_setlk, &lock) == 0 else {
            guard errno == EAGAIN || errno == EACCES else { throw SlotError(path) }
            return nil
        }
    }

    deinit { close(descriptor) }

    /// Makes it so many zero bytes, which have their room on the disk: memory that is mapped to a hole ends the process
    /// when the disk is full.
    func clear(size: Int) throws(SlotError) {
        guard ftruncate(descriptor, 0) == 0, ftruncate(descriptor, off_t(size)) == 0 else { throw SlotError("clear") }
        let code = posix_fallocate(descriptor, 0, off_t(size))
        guard code == 0 else { throw SlotError("make room", errno: code) }
    }

    /// What a file holds that a living process has locked, read without a mapping: one that is cut meanwhile then harms
    /// nobody. nil for any other.
    ///
    /// It only asks for the lock: taking it for a moment would keep a worker that starts from its slot.
    static func contents(ofLocked path: String, size: Int) -> [UInt8]? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var lock = wholeFile
        guard fcntl(descriptor, f_ofd_getlk, &lock) == 0, lock.l_type != F_UNLCK else { return nil }
        var bytes = [UInt8](repeating: 0, count: size + 1)
        let count = read(descriptor, &bytes, bytes.count)
        return count == size ? bytes.dropLast() : nil
    }

    private static var wholeFile: flock {
        var lock = flock()
        lock.l_type = Int16(F_WRLCK)
        lock.l_whence = Int16(SEEK_SET)
        return lock
    }
}

/// Why a worker has no slot.
public struct SlotError: Error, CustomStringConvertible {
    public let description: String

    init(_ what: String, errno code: Int32 = errno) {
        description = "\(what): \(String(cString: strerror(code)))"
    }

    init(reason: String) { description = reason }
}
