import Glibc

/// Why a log can't be read.
public struct LogError: Error, CustomStringConvertible {
    public let description: String

    init(description: String) { self.description = description }

    /// Of the system call that has just failed.
    init(_ operation: String) { self.init(description: "\(operation): \(String(cString: strerror(errno)))") }
}
