import OpenSSL
import Postgres
public import ShaCache

extension Catalog {
    /// Whom a certificate stands for now. Asked at every upload, so that revoking works on the next one.
    ///
    /// - Parameter fingerprint: SHA-256 of the certificate's DER form.
    public func standing(ofCertificate fingerprint: [UInt8]) throws -> CertificateStanding {
        let rows = try reading {
            try connection.run(
                """
                SELECT to_json(account), certificate.revoked_at IS NOT NULL, account.disabled_at IS NOT NULL
                FROM shacache.certificate JOIN shacache.account ON account.id = certificate.account_id
                WHERE certificate.fingerprint = \(fingerprint)
                """)
        }
        guard let row = rows.first else { return .unknown }
        let account = try row.account(0)
        if row.bool(1) { return .revoked(account) }
        return row.bool(2) ? .disabled(account) : .valid(account)
    }

    /// The account for writers without a certificate: nil unless the operator made it, and it is enabled.
    public func enabledAccount(named name: String) throws -> Account? {
        let rows = try reading {
            try connection.run(
                "SELECT to_json(account) FROM shacache.account WHERE name = \(name) AND disabled_at IS NULL")
        }
        return try rows.first?.account(0)
    }

    /// The registered signers that aren't revoked.
    public func signers() throws -> [Signer] {
        try signers(
            try reading {
                try connection.run("SELECT id, public_key FROM shacache.signer WHERE revoked_at IS NULL ORDER BY id")
            })
    }

    /// Those that were revoked since a date, because their keys came into other hands.
    public func signersInOtherHands() throws -> [Signer] {
        try signers(
            try reading {
                try connection.run(
                    "SELECT id, public_key FROM shacache.signer WHERE revoked_since IS NOT NULL ORDER BY id")
            })
    }

    private func signers(_ rows: Rows) throws -> [Signer] {
        try rows.map { row in
            let der = row.bytes(1)!
            if let signer = parsedKeys[der] { return signer }
            let signer = Signer(id: row.int(0)!, key: try PublicKey(der: der))
            parsedKeys[der] = signer
            return signer
        }
    }
}

extension Rows.Row {
    /// Of a row of shacache.account as JSON: whoever reads one reads it whole.
    func account(_ column: Int) throws -> Account { try Account(row: try withBytes(column) { try JSON(Array($0)) }) }
}
