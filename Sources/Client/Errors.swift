/// Why a request to the cache failed.
public enum CacheFailure: Error, CustomStringConvertible {
    /// It can't be reached.
    case unreachable(String)
    /// A server error: a later try may succeed.
    case troubled(String)
    /// A client error: another try can't help.
    case refused(String, status: Int)
    /// The response violates the protocol.
    case malformed(String)
    /// The blob or the key isn't there.
    case missing(String)
    /// It is there, and no trusted certificate verifies it, or its bytes don't match its digest.
    case untrusted(String)
    /// The result is unusable: an archive that isn't safe, a file that changed while it was sent.
    case broken(String)

    public var description: String {
        switch self {
        case .unreachable(let text), .troubled(let text), .refused(let text, _), .malformed(let text),
            .missing(let text),
            .untrusted(let text),
            .broken(let text):
            text
        }
    }
}

/// Invalid arguments or configuration: nothing was tried.
public struct UsageError: HasHint, CustomStringConvertible {
    public let description: String
    public let hint: String?

    public init(_ description: String, hint: String? = nil) {
        self.description = description
        self.hint = hint
    }
}

/// A URL that the work needs isn't set.
public struct Unconfigured: HasHint, CustomStringConvertible {
    public let description: String
    public let hint: String?
}

/// An error that may carry a hint at its remedy.
public protocol HasHint: Error {
    var hint: String? { get }
}

extension String {
    /// With the name in front, unless it is there already.
    public func naming(_ name: String) -> String { hasPrefix("\(name): ") ? self : "\(name): \(self)" }
}
