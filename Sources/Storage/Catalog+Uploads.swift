import Postgres
public import ShaCache

extension Catalog {
    /// Records a blob in one transaction, with `publish` in its middle: the name becomes visible while nobody else
    /// stores, withdraws or removes the same blob, and is durable before the row is.
    ///
    /// - Throws: `Refusal.withdrawn` or `Refusal.accountLimit`, before `publish` is called.
    public func recordBlob(_ digest: Digest, size: Int, upload: UploadRecord, publish: () throws -> Void) throws {
        try connection.transaction {
            try lock(digest)
            let known = try find(digest, for: upload.account)?.blob
            if known == nil { try checkQuota(of: upload.account, adding: size) }
            try publish()
            if let known {
                try show(digest, known, for: upload.account)
                try touch(digest, by: upload.account)
            } else {
                try insert(digest, size: size, by: upload.account)
            }
            try record(upload, isDuplicate: known != nil)
        }
    }

    /// Two blobs with one number merely wait for each other.
    func lock(_ digest: Digest) throws {
        let number = Int(bitPattern: UInt(digest.description.prefix(16), radix: 16)!)
        try connection.run("SELECT pg_advisory_xact_lock(\(number))")
    }

    private func touch(_ digest: Digest, by account: Account?) throws {
        try connection.run(
            """
            UPDATE shacache.blob SET last_referenced_at = now(), is_shared = is_shared OR account_id <> \(account?.id)
            WHERE sha512 = \(digest.bytes)
            """)
    }

    /// Each session adds to one of sixteen sums, so that uploads of one account don't wait for each other's commit.
    private func insert(_ digest: Digest, size: Int, by account: Account?) throws {
        try connection.run(
            """
            WITH stored AS (
                INSERT INTO shacache.blob (sha512, size, account_id)
                VALUES (\(digest.bytes), \(size), \(account?.id)) RETURNING account_id, size)
            INSERT INTO shacache.account_usage AS usage (account_id, shard, blobs, bytes)
            SELECT account_id, pg_backend_pid() % 16, 1, size FROM stored
            ON CONFLICT (account_id, shard)
            DO UPDATE SET blobs = usage.blobs + excluded.blobs, bytes = usage.bytes + excluded.bytes
            """)
    }

    /// The size with which a blob was acknowledged, in bytes; nil when it never was, or is withdrawn: a restore may have
    /// brought its file back where readers look.
    public func size(of digest: Digest) throws -> Int? {
        try reading {
            try connection.run(
                "SELECT size FROM shacache.blob WHERE sha512 = \(digest.bytes) AND withdrawal_id IS NULL"
            ).first?.int(0)
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
