import Postgres
public import ShaCache

/// How much may stand under one key. The deployed clients check every entry of a key with a process of its own, so
/// a flooded key is an attack on them.
public struct KeyLimits: Sendable {
    public let entries: Int
    /// Of metadata and signatures together.
    public let bytes: Int
    /// Of one account, so that none can use up a key that others need.
    public let entriesPerAccount: Int
    /// Of one account, for the same reason: one large entry is as good as many small ones.
    var bytesPerAccount: Int { bytes / 2 }

    public init(entries: Int, bytes: Int, entriesPerAccount: Int) {
        self.entries = entries
        self.bytes = bytes
        self.entriesPerAccount = entriesPerAccount
    }
}

extension Catalog {
    /// Calls `body` with the metadata and the signature of each entry of a key, oldest first.
    ///
    /// - Returns: how many there are.
    public func forEachEntry(
        of key: Key, _ body: (_ metadata: UnsafeRawBufferPointer, _ signature: UnsafeRawBufferPointer) -> Void
    ) throws -> Int {
        let rows = try reading {
            try connection.run("SELECT metadata, signature FROM shacache.entry WHERE key = \(key.text) ORDER BY id")
        }
        for row in rows {
            row.withBytes(0) { metadata in row.withBytes(1) { signature in body(metadata, signature) } }
        }
        return rows.count
    }

    /// Puts an entry under a key, unless the same pair stands there already.
    ///
    /// - Throws: `Refusal.keyIsFull`, or `DatabaseError`.
    public func recordEntry(_ entry: Entry, under key: Key, upload: UploadRecord, limits: KeyLimits) throws {
        let digest = entry.digest
        try connection.transaction {
            // Uploads to one key are done one after the other: they count what is there.
            try connection.run("SELECT pg_advisory_xact_lock(hashtextextended(\(key.text), 0))")
            let present = try connection.run(
                """
                SELECT coalesce(bool_or(digest = \(digest)), false),
                    count(*), coalesce(sum(bytes), 0),
                    count(*) FILTER (WHERE is_own), coalesce(sum(bytes) FILTER (WHERE is_own), 0)
                FROM (
                    SELECT digest, octet_length(metadata) + octet_length(signature) AS bytes,
                        account_id = \(upload.account?.id) AS is_own
                    FROM shacache.entry WHERE key = \(key.text)) AS present
                """
            ).first!
            let isDuplicate = present.bool(0)
            if !isDuplicate {
                try limits.check(
                    adding: entry, to: (entries: present.int(1)!, bytes: present.int(2)!),
                    ofAccount: (entries: present.int(3)!, bytes: present.int(4)!))
                try insert(entry, digest: digest, under: key, upload: upload)
            }
            // Whoever collects garbage one day must see that somebody counts on this blob.
            try connection.run(
                "UPDATE shacache.blob SET last_referenced_at = now() WHERE sha512 = \(entry.sha512.bytes)")
            try record(upload, isDuplicate: isDuplicate)
        }
    }

    private func insert(_ entry: Entry, digest: [UInt8], under key: Key, upload: UploadRecord) throws {
        let result = upload.signatureResult
        try connection.run(
            """
            INSERT INTO shacache.entry (
                key, metadata, signature, digest, sha512, account_id, certificate, signature_result, signer_id,
                software_url, multiarch, os)
            VALUES (
                \(key.text), \(entry.metadata), \(entry.signature), \(digest), \(entry.sha512.bytes),
                \(upload.account?.id), \(upload.certificate), \(result?.name), \(result?.signer),
                \(entry.facts.softwareURL), \(entry.facts.multiarch), \(entry.facts.os))
            """)
    }
}

extension KeyLimits {
    fileprivate typealias Holdings = (entries: Int, bytes: Int)

    fileprivate func check(adding entry: Entry, to all: Holdings, ofAccount own: Holdings) throws(Refusal) {
        guard all.entries < entries else {
            throw .keyIsFull("the key has \(all.entries) entries, the most that a key may have")
        }
        guard own.entries < entriesPerAccount else {
            throw .keyIsFull(
                "this account has \(own.entries) entries under the key, the most that one account may have")
        }
        let added = entry.metadata.utf8.count + entry.signature.utf8.count
        guard all.bytes + added <= bytes else {
            throw .keyIsFull("with this entry the key would hold \(all.bytes + added) bytes, more than \(bytes)")
        }
        guard own.bytes + added <= bytesPerAccount else {
            throw .keyIsFull(
                "with this entry the account would have \(own.bytes + added) bytes under the key, more than \(bytesPerAccount)"
            )
        }
    }
}
