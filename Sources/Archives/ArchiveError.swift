import Glibc

/// Why an archive was not made, or not extracted.
public enum ArchiveError: Error, Equatable {
    /// Extracted, the member would reach out of its tree, or be what no release has.
    case unsafe(member: String, reason: String)
    /// What was read is no intact archive.
    case malformed(String)
    /// No bytes or inodes are left, or a quota is used up.
    case noSpace(String)
    /// What the archive would become is there already.
    case exists(String)
    /// A file became another while it was read.
    case changed(path: String, how: String)
    /// Anything else that the system refused.
    case system(String)

    /// Of the system call that has just failed.
    init(_ operation: String, errno code: Int32 = errno) {
        let description = "\(operation): \(String(cString: strerror(code)))"
        self = [ENOSPC, EDQUOT].contains(code) ? .noSpace(description) : .system(description)
    }
}

extension ArchiveError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .unsafe(let member, let reason): "extract: \(member): \(reason)"
        case .malformed(let reason): "read the archive: \(reason)"
        case .exists(let path): "extract: \(path): exists already"
        case .changed(let path, let how): "read: \(path): \(how)"
        case .noSpace(let description), .system(let description): description
        }
    }
}

/// Passes on what a system call returned, or throws what `errno` says.
@discardableResult
func system<Number: SignedInteger>(_ operation: @autoclosure () -> String, _ call: () -> Number) throws(ArchiveError)
    -> Number
{
    while true {
        let result = call()
        guard result < 0 else { return result }
        guard errno == EINTR else { throw ArchiveError(operation()) }
    }
}
