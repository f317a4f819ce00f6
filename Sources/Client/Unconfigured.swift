/// A URL that the work needs isn't set.
public struct Unconfigured: Error, CustomStringConvertible {
    public let description: String
    /// How to set it.
    public let hint: String
}
