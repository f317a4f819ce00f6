import Glibc

/// What the file system refused. The text is safe to show to a client: it names no path of the server.
public struct StoreError: Error, CustomStringConvertible {
    public enum Kind: Sendable {
        /// No bytes or inodes are left, or a quota is used up.
        case noSpace
        /// An earlier fsync of this process failed, so it acknowledges nothing more: somebody should look at the disk.
        case readOnly
        /// Anything else: a wrong permission, a broken disk, a spool that nginx and the worker don't share.
        case broken
    }

    public let kind: Kind
    public let description: String
    /// The system's number for it, if a system call failed.
    let code: Int32?

    init(_ kind: Kind, _ description: String, code: Int32? = nil) {
        self.kind = kind
        self.description = description
        self.code = code
    }

    /// Of the system call that has just failed.
    init(_ operation: String, errno code: Int32 = errno) {
        self.init(
            [ENOSPC, EDQUOT].contains(code) ? .noSpace : .broken, "\(operation): \(String(cString: strerror(code)))",
            code: code)
    }
}

/// Passes on what a system call returned, or throws what `errno` says.
@discardableResult
func system(_ operation: String, _ call: () -> Int32) throws(StoreError) -> Int32 {
    let result = call()
    guard result >= 0 else { throw StoreError(operation) }
    return result
}
