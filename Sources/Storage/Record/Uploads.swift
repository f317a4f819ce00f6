import Postgres

/// The record of uploads. What was stored is written there in the transaction that stores it.
public struct UploadRecords {
    let session: Session

    public init(_ session: Session) { self.session = session }

    /// Records an upload that was not taken. The row need not be durable: no client was promised it.
    public func recordFailure(of upload: UploadRecord, _ failure: UploadFailure) throws {
        let connection = session.connection
        try connection.transaction {
            try connection.run("SET LOCAL synchronous_commit = off")
            try connection.run(
                """
                INSERT INTO shacache.upload (
                    account_id, certificate, client_address, target, key, sha512, bytes,
                    signature_result, signer_id, outcome, status, reason, detail, duration, request_id)
                VALUES (
                    \(upload.account?.id), \(upload.certificate), \(upload.inetAddress), \(upload.target.rawValue),
                    \(upload.key?.text), \(upload.sha512?.bytes), \(upload.bytes),
                    \(upload.signatureResult?.name), \(upload.signatureResult?.signer),
                    \(failure.status < 500 ? "refused" : "failed"), \(failure.status), \(failure.reason), \(failure.detail),
                    \(upload.duration), \(upload.requestID))
                """)
        }
    }
}
