public import OpenSSL

/// A client certificate as the database has it.
public struct CertificateRecord: Sendable {
    /// In lowercase hex.
    public let fingerprint: String
    public let account: String
    /// Whether its account may upload.
    public let isEnabled: Bool
    public let isRevoked: Bool
    public let origin: CertificateOrigin
    /// Seconds since 1970.
    public let notAfter: Int
    let der: [UInt8]?

    /// nil when the database has only its fingerprint.
    public func certificate() throws -> Certificate? { try der.map { try Certificate(der: $0) } }

    public func hasKey(of other: Certificate) throws -> Bool {
        try certificate()?.publicKey().der() == other.publicKey().der()
    }

    /// Whether another certificate takes its place: for the same account and key, and valid for longer.
    ///
    /// One for another key may belong to another machine, so this one stays in use.
    func isReplaced(by other: CertificateRecord) throws -> Bool {
        guard other.account == account, !other.isRevoked, other.notAfter > notAfter else { return false }
        guard let certificate = try certificate() else { return false }
        return try other.hasKey(of: certificate)
    }

    /// Those that expire within some days, and that no other certificate in use replaces; in the given order.
    ///
    /// - Parameter daysLeft: of each certificate in use, by its fingerprint; the others are left out.
    static func expiring(
        _ records: [CertificateRecord], withinDays days: Int, daysLeft: [String: Int]
    ) throws -> [CertificateRecord] {
        let inUse = records.filter { daysLeft.keys.contains($0.fingerprint) }
        return try inUse.filter { record in
            guard daysLeft[record.fingerprint]! < days else { return false }
            return try !inUse.contains { try record.isReplaced(by: $0) }
        }
    }
}

/// Where a certificate came from.
public enum CertificateOrigin: String, Sendable {
    /// Our authority made it, and its key.
    case issued
    /// Our authority signed a request.
    case signed
    /// Our authority made it for the key of one of its earlier certificates.
    case renewed
    /// Another authority made it, which nginx must trust too.
    case registered
}
