public import OpenSSL

/// A client certificate as it is on record.
public struct CertificateRecord: Sendable {
    /// In lowercase hex.
    public let fingerprint: String
    public let account: String
    /// Whether its account may upload.
    public let isEnabled: Bool
    public let isRevoked: Bool
    public let origin: Catalog.CertificateOrigin
    /// Seconds since 1970.
    public let notAfter: Int
    let der: [UInt8]?

    /// nil for one from before the certificates themselves were kept.
    public func certificate() throws -> Certificate? { try der.map { try Certificate(der: $0) } }

    public func hasKey(of other: Certificate) throws -> Bool {
        try certificate()?.publicKey().der() == other.publicKey().der()
    }

    /// Whether another one takes its place: made for the same key, and valid for longer.
    ///
    /// One for another key may be another machine's, and says nothing about this one.
    func isReplaced(by other: CertificateRecord) throws -> Bool {
        guard other.account == account, !other.isRevoked, other.notAfter > notAfter else { return false }
        guard let certificate = try certificate() else { return false }
        return try other.hasKey(of: certificate)
    }
}
