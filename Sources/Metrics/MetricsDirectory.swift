import CLinux
import Glibc
import System

/// A directory in which each worker of a host has a slot for its figures: `worker-1`, `worker-2` and so on.
///
/// A worker takes the first free slot, so that its successor goes on under the same name.
public struct MetricsDirectory: Sendable {
    private let directory: String

    public init(directory: String) { self.directory = directory }

    /// More than a host has workers.
    private static let slots = 1...64

    private func path(_ number: Int) -> String { "\(directory)/worker-\(number)" }

    /// - Parameter version: of the program.
    /// - Throws: `SlotError`.
    public func takeSlot(version: String) throws(SlotError) -> Recorder {
        for number in Self.slots {
            guard let file = try LockedFile(path: path(number)) else { continue }
            try file.clear(size: MetricCells.size)
            guard let memory = MetricCells(file, version: version) else {
                throw SlotError(SystemError("map", path(number)))
            }
            return Recorder(memory)
        }
        throw SlotError(reason: "\(directory): all \(Self.slots.count) slots are taken")
    }

    /// Of every worker that lives, in the order of their slots. Those of another version are left out.
    public func snapshots() -> [Snapshot] {
        Self.slots.compactMap { number in
            guard let bytes = LockedFile.contents(ofLocked: path(number), size: MetricCells.size) else { return nil }
            return bytes.withUnsafeBytes { Snapshot($0, worker: number) }
        }
    }
}

/// A file that is this process's as long as it is open. The lock ends with the process, however it ends.
final class LockedFile {
    private let file: Descriptor

    var descriptor: CInt { file.number }

    /// Takes the file, and makes it when it isn't there.
    ///
    /// - Returns: nil when another process has it.
    /// - Throws: `SlotError`, with what the system said.
    init?(path: String) throws(SlotError) {
        file = try asSlotError(try Descriptor(path, flags: O_RDWR | O_CREAT | O_NOFOLLOW, mode: 0o640))
        var lock = Self.wholeFile
        guard fcntl(file.number, f_ofd_setlk, &lock) == 0 else {
            guard errno == EAGAIN || errno == EACCES else { throw SlotError(SystemError("lock", path)) }
            return nil
        }
    }

    /// Makes it so many zero bytes, which have their room on the disk: memory that is mapped to a hole ends the process
    /// when the disk is full.
    func clear(size: Int) throws(SlotError) {
        try asSlotError(try file.truncate(to: 0))
        try asSlotError(try file.truncate(to: size))
        let code = posix_fallocate(descriptor, 0, off_t(size))
        guard code == 0 else { throw SlotError(SystemError("make room", errno: code)) }
    }

    /// What a file holds that a living process has locked, read without a mapping: one that is truncated meanwhile then
    /// does no harm. nil for any other.
    ///
    /// It only asks for the lock: taking it for a moment would keep a worker that starts from its slot.
    static func contents(ofLocked path: String, size: Int) -> [UInt8]? {
        guard let file = try? Descriptor(path, flags: O_RDONLY | O_NOFOLLOW | O_NONBLOCK) else { return nil }
        var lock = wholeFile
        guard fcntl(file.number, f_ofd_getlk, &lock) == 0, lock.l_type != F_UNLCK else { return nil }
        var bytes = [UInt8](repeating: 0, count: size + 1)
        let count = bytes.withUnsafeMutableBytes { try? file.readAll(into: $0) }
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

    init(_ error: SystemError) { description = error.description }

    init(reason: String) { description = reason }
}

/// Puts what the system refused in the slots' terms.
private func asSlotError<Result: ~Copyable>(
    _ body: @autoclosure () throws(SystemError) -> Result
) throws(SlotError) -> Result {
    do throws(SystemError) { return try body() } catch { throw SlotError(error) }
}
