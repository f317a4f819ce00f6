import Postgres

extension Catalog {
    /// How long before its end somebody should hear of a certificate, in days.
    public static let noticeDays = 21

    /// - Parameters:
    ///   - account: nil lists those of all.
    ///   - prefix: of the fingerprint, in lowercase hex.
    public func certificateRecords(of account: String? = nil, beginning prefix: String = "") throws
        -> [CertificateRecord]
    {
        let rows = try connection.run(
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

    /// In a transaction: until its end, no certificate is revoked and no account disabled.
    func holdCertificates() throws {
        try connection.run(
            "SELECT FROM shacache.certificate JOIN shacache.account ON account.id = account_id FOR SHARE")
    }

    /// - Parameter prefix: the fingerprint in lowercase hex, or as much of its beginning as is unique.
    public func certificateRecord(_ prefix: String) throws -> CertificateRecord {
        let matches = try certificateRecords(beginning: prefix)
        guard let match = matches.first else { throw AdministrationError.unknown("certificate", prefix) }
        guard matches.count == 1 else { throw AdministrationError.ambiguous("certificate", prefix) }
        return match
    }

    /// The certificates that expire within `noticeDays`, and with which somebody would then stop uploading: of enabled
    /// accounts, not revoked, and none of them renewed already. The first to expire comes first.
    public func expiringCertificates() throws -> [CertificateRecord] {
        let inUse = try certificatesInUse()
        let all = try certificateRecords().filter { inUse.keys.contains($0.fingerprint) }
        return try all.filter { record in
            guard let daysLeft = inUse[record.fingerprint], daysLeft < Self.noticeDays else { return false }
            return try !all.contains { try record.isReplaced(by: $0) }
        }
    }

    /// The whole days that each valid one has left, by its fingerprint in lowercase hex.
    private func certificatesInUse() throws -> [String: Int] {
        let rows = try connection.run(
            """
            SELECT encode(fingerprint, 'hex'), floor(extract(epoch FROM not_after - now()) / 86400)::integer
            FROM shacache.certificate_in_use WHERE not_after > now()
            """)
        return Dictionary(uniqueKeysWithValues: rows.map { ($0.text(0)!, $0.int(1)!) })
    }
}
