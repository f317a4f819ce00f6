/// Something of another cache that a mirror fetches, or lets go, in one step.
public struct MirrorItem: Hashable, Sendable {
    public enum Kind: String, Sendable {
        /// The list of a key; then the blobs that it names.
        case key
        /// Its name is its SHA-512 in hex.
        case blob
        /// A blob that the upstream has withdrawn, or retention there let go.
        case hiddenBlob = "hidden blob"
        /// Of the feed: one that can't be read. Its name is the number behind which it stands.
        case line
    }

    public let kind: Kind
    /// In UTF-8. As a string, differently composed keys would be equal.
    private let bytes: [UInt8]

    public init(_ kind: Kind, _ name: String) { (self.kind, bytes) = (kind, Array(name.utf8)) }

    public var name: String { String(decoding: bytes, as: UTF8.self) }
}

extension MirrorItem: CustomStringConvertible {
    public var description: String { "\(kind.rawValue) \(name)" }
}

/// Why an item isn't here.
public struct MirrorFailure: Sendable {
    public let reason: String
    /// No upstream has it.
    public let isAbsent: Bool

    public init(_ reason: String, isAbsent: Bool = false) { (self.reason, self.isAbsent) = (reason, isAbsent) }
}
