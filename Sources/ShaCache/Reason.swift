/// Why something was withdrawn, in its actor's words. Clients get it, in a header too: so it is one line.
public struct Reason: Sendable {
    public let text: String

    /// In characters.
    public static let lengthLimit = 500

    /// - Returns: nil when it is empty, too long, or more than one line.
    public init?(_ text: String) {
        guard text.contains(where: { !$0.isWhitespace }), text.unicodeScalars.count <= Self.lengthLimit,
            !text.unicodeScalars.contains(where: { $0.properties.generalCategory == .control })
        else { return nil }
        self.text = text
    }
}
