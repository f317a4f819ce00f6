public import Glibc

/// A system call that failed.
public struct SystemError: Error, Equatable, CustomStringConvertible {
    /// What was tried: `open`, or of one that has no subject, `start a thread`.
    public let operation: String
    /// What it was tried on, mostly a path, as `Descriptor.name` has it; empty when the operation needs none.
    public let subject: String
    /// What `errno` was.
    public let code: CInt

    /// - Parameter code: that of the call that has just failed, unless given.
    public init(_ operation: String, _ subject: String = "", errno code: CInt = errno) {
        self.operation = operation
        self.subject = subject
        self.code = code
    }

    /// The system's words for `code`: `no such file or directory`.
    public var reason: String {
        let words = String(cString: strerror(code))
        return words.prefix(1).lowercased() + words.dropFirst()
    }

    /// As perror(3) has it, `/etc/x: no such file or directory`: what was tried, a message's reader knows.
    public var description: String { "\(subject.isEmpty ? operation : subject): \(reason)" }

    /// `open /etc/x: no such file or directory`.
    public var descriptionWithOperation: String {
        subject.isEmpty ? description : "\(operation) \(subject): \(reason)"
    }

    /// No bytes or inodes are left, or a quota is used up.
    public var isOutOfSpace: Bool { [ENOSPC, EDQUOT].contains(code) }
}

/// Passes on what a system call returned. One that a signal interrupted is made again.
///
/// - Throws: `errno` as a `SystemError` when it returned less than 0.
@discardableResult
public func systemCall<Number: SignedInteger>(
    _ operation: String, _ subject: @autoclosure () -> String = "", _ call: () -> Number
) throws(SystemError) -> Number {
    while true {
        let result = call()
        guard result < 0 else { return result }
        let code = errno
        guard code == EINTR else { throw SystemError(operation, subject(), errno: code) }
    }
}

/// The same, of a call that takes a path, whose bytes need not be UTF-8.
@discardableResult
public func systemCall<Number: SignedInteger>(
    _ operation: String, path: String, _ call: (UnsafePointer<CChar>) -> Number
) throws(SystemError) -> Number {
    try path.withFileName { name throws(SystemError) in
        try systemCall(operation, path.isEmpty ? "the name of the file is empty" : path) { call(name) }
    }
}
