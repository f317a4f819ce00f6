public import ShaCache

/// What the operator decides about uploads.
public struct UploadRules: Sendable {
    public let signatures: SignaturePolicy
    /// Whether entries with a user or a password in a URL are refused.
    public let refusesCredentials: Bool
    public let keys: KeyLimits
    /// In bytes; nil is unlimited.
    public let blobSize: Int?

    public init(
        signatures: SignaturePolicy, refusesCredentials: Bool = false, keys: KeyLimits, blobSize: Int?
    ) {
        self.signatures = signatures
        self.refusesCredentials = refusesCredentials
        self.keys = keys
        self.blobSize = blobSize
    }
}
