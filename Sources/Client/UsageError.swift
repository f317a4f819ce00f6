/// What was asked for can't be done with this configuration or these arguments: nothing was tried.
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

/// An error that may know how to mend it.
public protocol HasHint: Error {
    var hint: String? { get }
}

extension String {
    /// With the name in front, once: what failed often says of which file.
    public func naming(_ name: String) -> String { hasPrefix("\(name): ") ? self : "\(name): \(self)" }
}
