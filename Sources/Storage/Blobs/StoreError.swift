import Glibc
import ShaCache
import System

/// What the file system refused. The text is safe to show to a client: it names no path of the server.
public struct StoreError: Error, CustomStringConvertible {
    public enum Condition: Sendable {
        /// No bytes or inodes are left, or a quota is used up.
        case noSpace
        /// An earlier fsync of this process failed, so it acknowledges nothing more: the disk needs a check.
        case readOnly
        /// Anything else: a wrong permission, a broken disk, a spool that nginx and the worker don't share.
        case broken
    }

    public let condition: Condition
    public let description: String
    /// The system call that failed, if one did.
    let cause: SystemError?

    init(_ condition: Condition, _ description: String, cause: SystemError? = nil) {
        self.condition = condition
        self.description = description
        self.cause = cause
    }

    /// - Parameter error: whose operation and subject name no path either.
    init(_ error: SystemError) {
        self.init(error.isOutOfSpace ? .noSpace : .broken, error.descriptionWithOperation, cause: error)
    }
}

/// Puts what the system refused in the store's terms.
@discardableResult
func asStoreError<Result: ~Copyable>(_ body: @autoclosure () throws(SystemError) -> Result) throws(StoreError) -> Result
{
    do throws(SystemError) { return try body() } catch { throw StoreError(error) }
}

extension Descriptor {
    /// Never follows a symbolic link: everything in the store was put there by us.
    ///
    /// - Parameter name: for messages, in place of the path.
    init(inStore path: String, flags: CInt = O_RDONLY, mode: mode_t = 0, named name: String) throws(StoreError) {
        self = try asStoreError(
            try Descriptor(path, flags: flags | O_NOFOLLOW, mode: mode, named: name))
    }

    /// The SHA-512 of the bytes as they lie on the disk.
    ///
    /// - Parameter didRead: is told how many bytes, of each piece, and may block.
    func digest(didRead: (Int) -> Void = { _ in }) throws(StoreError) -> Digest {
        posix_fadvise(number, 0, 0, POSIX_FADV_SEQUENTIAL)
        return try Digest(size: try asStoreError(try size())) { offset, buffer throws(StoreError) in
            let count = try asStoreError(try read(at: offset, into: buffer))
            didRead(count)
            return count
        }
    }
}

extension Directory {
    /// - Returns: nil when there is none (any more).
    convenience init?(inStore path: String) throws(StoreError) {
        do throws(SystemError) {
            try self.init(path, flags: O_NOFOLLOW, named: "a directory of the store")
        } catch {
            guard error.isOfMissingDirectory else { throw StoreError(error) }
            return nil
        }
    }
}
