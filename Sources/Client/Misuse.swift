/// What was asked for can't be done with this configuration or these arguments: nothing was tried.
public struct Misuse: Error, CustomStringConvertible {
    public let description: String
    /// How to mend it.
    public let hint: String?

    public init(_ description: String, hint: String? = nil) {
        self.description = description
        self.hint = hint
    }
}
