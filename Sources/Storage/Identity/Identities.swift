import Postgres
import ShaCache

/// What the database knows of writers.
public struct Identities {
    let session: Session

    public init(_ session: Session) { self.session = session }

    /// The account of a certificate, and whether the certificate counts, at this moment.
    ///
    /// - Parameter fingerprint: SHA-256 of the certificate's DER form.
    public func status(ofCertificate fingerprint: [UInt8]) throws -> CertificateStatus {
        let rows = try session.reading {
            try session.connection.run(
                """
                SELECT \(Account.columns), certificate.revoked_at IS NOT NULL, account.disabled_at IS NOT NULL,
                    certificate.not_after <= now()
                FROM shacache.certificate JOIN shacache.account ON account.id = certificate.account_id
                WHERE certificate.fingerprint = \(fingerprint)
                """)
        }
        guard let row = rows.first else { return .unknown }
        let account = try row.account()
        if row.bool(2) { return .revoked(account) }
        if row.bool(3) { return .disabled(account) }
        return row.bool(4) ? .expired(account) : .valid(account)
    }

    /// The account for writers without a certificate: nil unless the operator made it, and it is enabled.
    public func enabledAccount(named name: String) throws -> Account? {
        let rows = try session.reading {
            try session.connection.run(
                "SELECT \(Account.columns) FROM shacache.account WHERE name = \(name) AND disabled_at IS NULL")
        }
        return try rows.first?.account()
    }

    /// In the transaction that stores something for an account: whether the account and its certificate still are what
    /// they were when they were read.
    ///
    /// - Throws: `ChangedMeanwhile.identity`.
    func confirmIdentity(of upload: UploadRecord) throws {
        guard let account = upload.account, let version = account.version else { return }
        let current = try session.connection.run(
            "SELECT shacache.identity_of(\(account.id), \(upload.certificate))"
        ).first?.int(0)
        guard current == version else { throw ChangedMeanwhile.identity }
    }
}

/// What was decided about an upload goes by what was read before; that has changed by the time of its transaction:
/// decide anew.
public enum ChangedMeanwhile: Error {
    /// The account, or whether its certificate counts.
    case identity
    /// The registered signers.
    case signers

    private static let mostAttempts = 5

    /// Decides, and decides again by what is read anew: accounts and signers rarely change so often.
    ///
    /// - Parameters:
    ///   - isOutdated: whether a failure may be due to what was read before.
    ///   - forget: lets go of what was read before.
    public static func decidingAnew<Result>(
        when isOutdated: (any Error) -> Bool = { $0 is ChangedMeanwhile }, forget: () throws -> Void,
        _ decide: () throws -> Result
    ) throws -> Result {
        for _ in 1..<mostAttempts {
            do {
                return try decide()
            } catch  where isOutdated(error) {
                try forget()
            }
        }
        return try decide()
    }
}

extension Account {
    /// The whole row as JSON, and its version (`identity_of` in SQL).
    static let columns: SQL = "to_json(account), hashtextextended(account::text, 0)"
}

extension ResultRow {
    /// Of `Account.columns`, the first two of a row.
    fileprivate func account() throws -> Account {
        var account = try account(0)
        account.version = int(1)
        return account
    }

    /// Of a row of shacache.account as JSON: always the whole row.
    func account(_ column: Int) throws -> Account { try Account(row: try withBytes(column) { try JSON(Array($0)) }) }
}
