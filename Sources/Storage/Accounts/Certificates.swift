public import OpenSSL
import Postgres
import ShaCache

/// The client certificates of accounts.
public struct Certificates {
    let session: Session

    public init(_ session: Session) { self.session = session }

    /// - Parameter handOver: delivers the certificate to its owner; when that fails, nothing is recorded. No
    ///   certificate is revoked meanwhile, and no account disabled.
    /// - Throws: `AdministrationError.keyWasRevoked` when another certificate for the same key is revoked.
    public func add(
        _ certificate: Certificate, of account: String, origin: CertificateOrigin, by actor: String,
        handOver: () throws -> Void = {}
    ) throws {
        try session.audit.transaction(changing: account) {
            try insert(certificate, of: account, origin: origin, by: actor)
            try handOver()
        }
    }

    /// In a transaction that does more.
    ///
    /// - Throws: as `add`.
    func insert(_ certificate: Certificate, of account: String, origin: CertificateOrigin, by actor: String) throws {
        let fingerprint = try certificate.fingerprint()
        if let owner = try owner(of: fingerprint) {
            throw AdministrationError.exists("a certificate like this, of account", owner)
        }
        try lockAllInUse()
        for other in try records() where try other.isRevoked && other.hasKey(of: certificate) {
            throw AdministrationError.keyWasRevoked(other.fingerprint)
        }
        try insert(certificate, fingerprint, of: account, origin)
        try session.audit.append(
            "certificate add", of: account, by: actor,
            detail: "\(origin.rawValue) \(hex(fingerprint)) \(certificate.subject)")
    }

    /// - Returns: the name of the account that has the certificate already.
    private func owner(of fingerprint: [UInt8]) throws -> String? {
        try session.connection.run(
            """
            SELECT account.name FROM shacache.certificate JOIN shacache.account ON account.id = account_id
            WHERE fingerprint = \(fingerprint)
            """
        ).first?.text(0)
    }

    /// Row locks: until the end of the transaction, no certificate is revoked and no account disabled.
    private func lockAllInUse() throws {
        try session.connection.run(
            "SELECT FROM shacache.certificate JOIN shacache.account ON account.id = account_id FOR SHARE")
    }

    private func insert(
        _ certificate: Certificate, _ fingerprint: [UInt8], of account: String, _ origin: CertificateOrigin
    ) throws {
        let accountID = try Accounts(session).id(of: account)
        try session.connection.run(
            """
            INSERT INTO shacache.certificate (
                fingerprint, account_id, subject, issuer, serial, not_before, not_after, origin, der)
            VALUES (
                \(fingerprint), \(accountID), \(certificate.subject), \(certificate.issuer),
                \(certificate.serial), to_timestamp(\(certificate.notBefore)),
                to_timestamp(\(certificate.notAfter)), \(origin.rawValue), \(try certificate.der()))
            """)
    }

    /// Takes effect on the next request, also on open connections.
    ///
    /// - Parameter prefix: the fingerprint in lowercase hex, or a unique beginning of it.
    /// - Returns: the record from before.
    public func revoke(_ prefix: String, by actor: String) throws -> CertificateRecord {
        let record = try record(prefix)
        try session.audit.change("certificate revoke", of: record.account, by: actor, detail: record.fingerprint) {
            try session.connection.run(
                """
                UPDATE shacache.certificate SET revoked_at = coalesce(revoked_at, now())
                WHERE fingerprint = decode(\(record.fingerprint), 'hex')
                """)
        }
        return record
    }

    /// - Parameter account: nil lists the certificates of all accounts.
    public func table(of account: String? = nil) throws -> Table {
        if let account { _ = try Accounts(session).id(of: account) }
        return Table(
            try session.connection.run(
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

    /// In the order in which they expire.
    ///
    /// - Parameters:
    ///   - account: nil lists the certificates of all accounts.
    ///   - prefix: of the fingerprint, in lowercase hex.
    public func records(of account: String? = nil, beginning prefix: String = "") throws -> [CertificateRecord] {
        let rows = try session.connection.run(
            """
            SELECT encode(fingerprint, 'hex'), account.name, disabled_at IS NULL, revoked_at IS NOT NULL, origin,
                extract(epoch FROM not_after)::bigint, der
            FROM shacache.certificate JOIN shacache.account ON account.id = account_id
            WHERE account.name = coalesce(\(account), account.name)
                AND starts_with(encode(fingerprint, 'hex'), \(prefix))
            ORDER BY not_after, fingerprint
            """)
        return rows.map { row in
            CertificateRecord(
                fingerprint: row.text(0)!, account: row.text(1)!, isEnabled: row.bool(2), isRevoked: row.bool(3),
                origin: CertificateOrigin(rawValue: row.text(4)!)!, notAfter: row.int(5)!, der: row.bytes(6))
        }
    }

    /// - Parameter prefix: the fingerprint in lowercase hex, or a unique beginning of it.
    public func record(_ prefix: String) throws -> CertificateRecord {
        let matches = try records(beginning: prefix)
        guard let match = matches.first else { throw AdministrationError.unknown("certificate", prefix) }
        guard matches.count == 1 else { throw AdministrationError.ambiguous("certificate", prefix) }
        return match
    }
}

/// When certificates expire, and whose uploads end with them.
extension Certificates {
    /// How long before it expires a certificate is warned of, in days.
    public static let noticeDays = 21

    /// The certificates that expire within `noticeDays` and are in use: of enabled accounts, neither revoked nor
    /// renewed. The first to expire comes first.
    public func expiring() throws -> [CertificateRecord] {
        try CertificateRecord.expiring(try records(), withinDays: Self.noticeDays, daysLeft: daysLeftInUse())
    }

    /// The whole days that each valid certificate in use has left, by its fingerprint in lowercase hex.
    private func daysLeftInUse() throws -> [String: Int] {
        let rows = try session.connection.run(
            """
            SELECT encode(fingerprint, 'hex'), floor(extract(epoch FROM not_after - now()) / 86400)::integer
            FROM shacache.certificate_in_use WHERE not_after > now()
            """)
        return Dictionary(uniqueKeysWithValues: rows.map { ($0.text(0)!, $0.int(1)!) })
    }

    /// For each enabled account, when the last of its certificates expires; the first to expire first. An expired
    /// account is listed for a week more, so that its absence is not taken for a renewal.
    public func accountExpiries() throws -> [AccountExpiry] {
        let rows = try session.reading {
            try session.connection.run(
                """
                SELECT DISTINCT account, extract(epoch FROM account_until)::bigint AS until
                FROM shacache.certificate_in_use
                WHERE account_until > now() - interval '7 days'
                ORDER BY until, account
                """)
        }
        return rows.map { AccountExpiry(account: $0.text(0)!, at: $0.int(1)!) }
    }
}

/// When an account's last certificate expires.
public struct AccountExpiry: Sendable {
    public let account: String
    /// Seconds since 1970.
    public let at: Int
}
