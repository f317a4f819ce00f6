import Postgres
public import ShaCache

extension Catalog {
    /// Records a blob in one transaction, with `publish` in its middle: the name becomes visible while nobody else
    /// stores or removes the same blob, and is durable before the row is.
    public func recordBlob(_ digest: Digest, size: Int, upload: UploadRecord, publish: () throws -> Void) throws {
        try connection.transaction {
            try connection.run("SELECT pg_advisory_xact_lock(\(digest.lockNumber))")
            try publish()
            let isDuplicate = try connection.run(
                """
                INSERT INTO shacache.blob (sha512, size, account_id)
                VALUES (\(digest.bytes), \(size), \(upload.account?.id))
                ON CONFLICT (sha512) DO UPDATE SET last_referenced_at = now()
                RETURNING xmax <> 0
                """
            ).first!.bool(0)
            try record(upload, isDuplicate: isDuplicate)
        }
    }

    /// The size with which a blob was acknowledged, in bytes; nil when it never was.
    public func size(of digest: Digest) throws -> Int? {
        try reading {
            try connection.run("SELECT size FROM shacache.blob WHERE sha512 = \(digest.bytes)").first?.int(0)
        }
    }

    /// Records an upload that ended well, in the transaction that stores it.
    func record(_ upload: UploadRecord, isDuplicate: Bool) throws {
        try insert(upload, outcome: "accepted", status: 201, isDuplicate: isDuplicate, failure: nil)
    }

    /// Records an upload that was not taken. Nobody was promised this row, so the disk need not be waited for.
    public func record(_ upload: UploadRecord, failure: UploadRecord.Failure) throws {
        try connection.transaction {
            try connection.run("SET LOCAL synchronous_commit = off")
            let outcome = failure.status < 500 ? "refused" : "failed"
            try insert(upload, outcome: outcome, status: failure.status, isDuplicate: nil, failure: failure)
        }
    }

    private func insert(
        _ upload: UploadRecord, outcome: String, status: Int, isDuplicate: Bool?, failure: UploadRecord.Failure?
    ) throws {
        let duration = upload.start.duration(to: .now) / .milliseconds(1)
        try connection.run(
            """
            INSERT INTO shacache.upload (
                account_id, certificate, client_address, target, key, sha512, bytes, duplicate,
                signature_result, signer_id, outcome, status, reason, detail, duration, request_id)
            VALUES (
                \(upload.account?.id), \(upload.certificate), \(upload.inetAddress), \(upload.target.rawValue),
                \(upload.key?.text), \(upload.sha512?.bytes), \(upload.bytes), \(isDuplicate),
                \(upload.signatureResult?.name), \(upload.signatureResult?.signer), \(outcome), \(status),
                \(failure?.reason), \(failure?.detail), \("\(duration) milliseconds"), \(upload.requestID))
            """)
    }
}

extension UploadRecord {
    /// nginx says `unix:` for a client on a unix socket, which is no address to PostgreSQL.
    fileprivate var inetAddress: String? { clientAddress.isEmpty || clientAddress == "unix:" ? nil : clientAddress }
}

extension Digest {
    /// Names the advisory lock of a blob. Two blobs with one number merely wait for each other.
    fileprivate var lockNumber: Int { Int(bitPattern: UInt(description.prefix(16), radix: 16)!) }
}
