public import ShaCache

/// An entry as people get to see it.
public struct ListedEntry: Sendable {
    public let id: Int
    public let key: String
    public let sha512: Digest
    public let account: String
    /// `verified`, `unsigned` or `unknown signer`: what was found when it came in.
    public let signatureResult: String
    public let signer: String?
    /// Seconds since 1970.
    public let signerRevokedAt: Int?
    /// Seconds since 1970.
    public let createdAt: Int
    public let softwareURL: String?
    public let multiarch: String?
    public let os: String?
    public let isHidden: Bool
    public let withdrawal: Withdrawn?
    /// Of the blob that it names, in bytes; nil when nobody has uploaded that, or it is hidden.
    public let blobSize: Int?
    public let isBlobHidden: Bool
}

/// A stored blob as people get to see it.
public struct ListedBlob: Sendable {
    public let sha512: Digest
    /// In bytes.
    public let size: Int
    /// Who uploaded it first.
    public let account: String
    /// Seconds since 1970.
    public let createdAt: Int
    /// Seconds since 1970.
    public let lastReferencedAt: Int
    public let isHidden: Bool
    public let withdrawal: Withdrawn?
}

/// Why something is hidden.
public struct Withdrawn: Sendable {
    /// Seconds since 1970.
    public let at: Int
    public let by: String
    public let reason: String
}

/// A key, and how many of its entries may be seen.
public struct ListedKey: Sendable {
    public let text: String
    public let entries: Int
}

/// What was fetched of a blob, ever since downloads are counted.
public struct Downloads: Sendable {
    public let requests: Int
    /// Those that were sent to the last byte.
    public let whole: Int
    /// Truly sent.
    public let bytes: Int
}
