public import OpenSSL
import Postgres
import ShaCache

extension Catalog {
    /// Where a certificate came from.
    public enum CertificateOrigin: String, Sendable {
        /// Key and certificate are ours.
        case issued
        /// We signed a request.
        case signed
        /// We made another one for the key of one of ours.
        case renewed
        /// Another authority's, which nginx must trust too.
        case registered
    }

    /// - Parameter handOver: brings the certificate to its owner; when that fails, nothing is recorded. No certificate is
    ///   revoked meanwhile, and no account disabled.
    /// - Throws: `AdministrationError.keyWasRevoked` when another certificate for its key was.
    public func addCertificate(
        _ certificate: Certificate, of account: String, origin: CertificateOrigin, by actor: String,
        handOver: () throws -> Void = {}
    ) throws {
        let fingerprint = try certificate.fingerprint()
        try change(
            by: actor, "certificate add", account,
            detail: "\(origin.rawValue) \(hex(fingerprint)) \(certificate.subject)"
        ) {
            let owner = try connection.run(
                """
                SELECT account.name FROM shacache.certificate JOIN shacache.account ON account.id = account_id
                WHERE fingerprint = \(fingerprint)
                """
            ).first
            if let owner { throw AdministrationError.exists("a certificate like this, of account", owner.text(0)!) }
            // Until this transaction's end, none is revoked.
            try holdCertificates()
            for other in try certificateRecords() where try other.isRevoked && other.hasKey(of: certificate) {
                throw AdministrationError.keyWasRevoked(other.fingerprint)
            }
            try connection.run(
                """
                INSERT INTO shacache.certificate (
                    fingerprint, account_id, subject, issuer, serial, not_before, not_after, origin, der)
                VALUES (
                    \(fingerprint), \(try Accounts(session).id(of: account)), \(certificate.subject), \(certificate.issuer),
                    \(certificate.serial), to_timestamp(\(certificate.notBefore)),
                    to_timestamp(\(certificate.notAfter)), \(origin.rawValue), \(try certificate.der()))
                """)
            try handOver()
        }
    }

    /// Works on the next request, on connections that stand already too.
    ///
    /// - Parameter prefix: the fingerprint in lowercase hex, or as much of its beginning as is unique.
    /// - Returns: what it was before.
    public func revokeCertificate(_ prefix: String, by actor: String) throws -> CertificateRecord {
        let record = try certificateRecord(prefix)
        try change(by: actor, "certificate revoke", record.account, detail: record.fingerprint) {
            try connection.run(
                """
                UPDATE shacache.certificate SET revoked_at = coalesce(revoked_at, now())
                WHERE fingerprint = decode(\(record.fingerprint), 'hex')
                """)
        }
        return record
    }

    /// - Parameter account: nil lists those of all.
    public func certificates(of account: String? = nil) throws -> Table {
        if let account { _ = try Accounts(session).id(of: account) }
        return Table(
            try connection.run(
                """
                SELECT encode(fingerprint, 'hex') AS fingerprint, account.name AS account,
                    CASE WHEN revoked_at IS NOT NULL THEN 'revoked' WHEN not_after <= now() THEN 'expired'
                        ELSE 'valid' END AS state,
                    not_after, origin, subject, issuer, serial
                FROM shacache.certificate JOIN shacache.account ON account.id = account_id
                WHERE account.name = coalesce(\(account), account.name)
                ORDER BY account.name, not_after DESC
                """))
    }
}
