import Postgres
import ShaCache

extension Catalog {
    /// Whom a certificate stands for now. Asked at every upload, so that revoking works on the next one.
    ///
    /// - Parameter fingerprint: SHA-256 of the certificate's DER form.
    public func standing(ofCertificate fingerprint: [UInt8]) throws -> CertificateStanding {
        let rows = try reading {
            try connection.run(
                """
                SELECT to_json(account), certificate.revoked_at IS NOT NULL, account.disabled_at IS NOT NULL,
                    certificate.not_after <= now()
                FROM shacache.certificate JOIN shacache.account ON account.id = certificate.account_id
                WHERE certificate.fingerprint = \(fingerprint)
                """)
        }
        guard let row = rows.first else { return .unknown }
        let account = try row.account(0)
        if row.bool(1) { return .revoked(account) }
        if row.bool(2) { return .disabled(account) }
        return row.bool(3) ? .expired(account) : .valid(account)
    }

    /// The account for writers without a certificate: nil unless the operator made it, and it is enabled.
    public func enabledAccount(named name: String) throws -> Account? {
        let rows = try reading {
            try connection.run(
                "SELECT to_json(account) FROM shacache.account WHERE name = \(name) AND disabled_at IS NULL")
        }
        return try rows.first?.account(0)
    }
}

extension Rows.Row {
    /// Of a row of shacache.account as JSON: whoever reads one reads it whole.
    func account(_ column: Int) throws -> Account { try Account(row: try withBytes(column) { try JSON(Array($0)) }) }
}
