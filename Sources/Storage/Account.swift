/// Who uploads.
public struct Account: Sendable {
    public typealias ID = Int

    public let id: ID
    public let name: String
}

/// What the database knows about a client certificate at this moment.
public enum CertificateStanding: Sendable {
    case valid(Account)
    case unknown
    case revoked(Account)
    case disabled(Account)
}
