/// What was asked for can't be done with this configuration or these arguments: nothing was tried.
public struct Misuse: Advising, CustomStringConvertible {
    public let description: String
    public let hint: String?

    public init(_ description: String, hint: String? = nil) {
        self.description = description
        self.hint = hint
    }
}

/// A URL that the work needs isn't set.
public struct Unconfigured: Advising, CustomStringConvertible {
    public let description: String
    public let hint: String?
}

/// An error that may know how to mend it.
public protocol Advising: Error {
    var hint: String? { get }
}
