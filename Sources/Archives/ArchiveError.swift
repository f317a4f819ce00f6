import System

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

    init(_ error: SystemError) {
        let description = error.descriptionWithOperation
        self = error.isOutOfSpace ? .noSpace(description) : .system(description)
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

/// Puts what the system refused in an archive's terms.
@discardableResult
func asArchiveError<Result: ~Copyable>(
    _ body: @autoclosure () throws(SystemError) -> Result
) throws(ArchiveError) -> Result {
    do throws(SystemError) { return try body() } catch { throw ArchiveError(error) }
}

/// A system call on a member, or one that needs no path in its message.
@discardableResult
func archiveCall<Number: SignedInteger>(
    _ operation: String, _ path: Path? = nil, _ call: () -> Number
) throws(ArchiveError) -> Number {
    try asArchiveError(try systemCall(operation, path?.description ?? "", call))
}
