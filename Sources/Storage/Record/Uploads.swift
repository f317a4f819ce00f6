import Postgres

/// The record of uploads. What was stored is written there in the transaction that stores it.
public struct Uploads {
    let session: Session

    public init(_ session: Session) { self.session = session }

    /// Records an upload that was not taken. Nobody was promised this row, so the disk need not be waited for.
    public func record(_ upload: UploadRecord, failure: UploadRecord.Failure) throws {
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
