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
    /// Calls `body` with the metadata and the signature of each entry of a key that isn't withdrawn, oldest first.
    ///
    /// - Returns: how many there are, withdrawn ones too.
    public func forEachEntry(
        of key: Key, _ body: (_ metadata: UnsafeRawBufferPointer, _ signature: UnsafeRawBufferPointer) -> Void
    ) throws -> Int {
        let rows = try reading {
            try connection.run(
                """
                SELECT CASE WHEN withdrawal_id IS NULL THEN metadata END, signature
                FROM shacache.entry WHERE key = \(key.text) ORDER BY id
                """)
        }
        for row in rows {
            row.withBytes(0) { metadata in
                // NULL, which is read as empty, as no metadata is.
                if !metadata.isEmpty { row.withBytes(1) { signature in body(metadata, signature) } }
            }
        }
        return rows.count
    }

    /// Puts an entry under a key, unless the same pair stands there already.
    ///
    /// - Throws: `Refusal.keyIsFull`, `.accountLimit` or `.withdrawn`; `SignerWasRevoked`; or `DatabaseError`.
    public func recordEntry(_ entry: Entry, under key: Key, upload: UploadRecord, limits: KeyLimits) throws {
        let digest = entry.digest
        try connection.transaction {
            try awaitRevocation()
            try lock(key)
            try checkAgain(upload.signatureResult, of: entry)
            // Before the entry, so that who withdraws the blob meanwhile waits, and sees this entry. And whoever
            // collects garbage one day must see that somebody counts on the blob.
            try connection.run(
                "UPDATE shacache.blob SET last_referenced_at = now() WHERE sha512 = \(entry.sha512.bytes)")
            let isDuplicate = try share(entry, digest, under: key, with: upload.account, limits)
            if !isDuplicate {
                try checkDay(of: upload.account)
                try check(entry, under: key, by: upload.account, limits: limits)
                try insert(entry, digest: digest, under: key, upload: upload)
            }
            try record(upload, isDuplicate: isDuplicate)
        }
    }

    /// Uploads to one key, and withdrawals from it, are done one after the other: they count what is there.
    func lock(_ key: Key) throws {
        try connection.run("SELECT pg_advisory_xact_lock(hashtextextended(\(key.text), 0))")
    }

    /// Notes that an account puts a pair that stands there already, in this or another writing of its signature, and
    /// shows it again when only others had hidden it.
    ///
    /// - Returns: false when it doesn't stand there.
    private func share(
        _ entry: Entry, _ digest: [UInt8], under key: Key, with account: Account?, _ limits: KeyLimits
    ) throws -> Bool {
        let rows = try connection.run(
            """
            SELECT entry.id, is_shared OR entry.account_id = \(account?.id),
                withdrawal.id, withdrawal.reason, is_operators, withdrawal.account_id,
                digest = \(digest) AS is_this, signature
            FROM shacache.entry LEFT JOIN shacache.withdrawal ON withdrawal.id = withdrawal_id
            WHERE key = \(key.text) AND (digest = \(digest) OR metadata = \(entry.metadata))
            ORDER BY is_this DESC, withdrawal_id IS NULL, entry.id
            """)
        let row = rows.first { $0.bool(6) || entry.isSigned(likewise: $0.text(7)!) }
        guard let row, let id = row.int(0) else { return false }
        let known = try Known(row, from: 2, what: "entry", for: account)
        if known.withdrawal != nil { try limits.check(adding: entry, toKey: holdings(under: key, of: account).key) }
        try show(entry: id, known, for: account)
        if !row.bool(1) { try connection.run("UPDATE shacache.entry SET is_shared = true WHERE id = \(id)") }
        return true
    }

    private func check(_ entry: Entry, under key: Key, by account: Account?, limits: KeyLimits) throws {
        let holdings = try holdings(under: key, of: account)
        try account?.check(.entriesPerKey, used: holdings.own.entries, adding: 1)
        try limits.check(adding: entry, toKey: holdings.key)
        try limits.check(adding: entry, toOwn: holdings.own)
    }

    /// Of a key, what clients see counts; of an account, also what was withdrawn, or it could go on for ever.
    private func holdings(under key: Key, of account: Account?) throws -> (key: Holdings, own: Holdings) {
        let present = try connection.run(
            """
            SELECT count(*) FILTER (WHERE is_visible), coalesce(sum(bytes) FILTER (WHERE is_visible), 0),
                count(*) FILTER (WHERE is_own), coalesce(sum(bytes) FILTER (WHERE is_own), 0)
            FROM (
                SELECT octet_length(metadata) + octet_length(signature) AS bytes,
                    withdrawal_id IS NULL AS is_visible, account_id = \(account?.id) AS is_own
                FROM shacache.entry WHERE key = \(key.text)) AS present
            """
        ).first!
        return ((present.int(0)!, present.int(1)!), (present.int(2)!, present.int(3)!))
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

private typealias Holdings = (entries: Int, bytes: Int)

extension KeyLimits {
    fileprivate func check(adding entry: Entry, toKey present: Holdings) throws(Refusal) {
        guard present.entries < entries else {
            throw .keyIsFull("the key has \(present.entries) entries, the most that a key may have")
        }
        let sum = present.bytes + entry.size
        guard sum <= bytes else {
            throw .keyIsFull("with this entry the key would hold \(sum) bytes, more than \(bytes)")
        }
    }

    fileprivate func check(adding entry: Entry, toOwn present: Holdings) throws(Refusal) {
        guard present.entries < entriesPerAccount else {
            throw .keyIsFull(
                "this account has \(present.entries) entries under the key, the most that one account may have")
        }
        let sum = present.bytes + entry.size
        guard sum <= bytesPerAccount else {
            throw .keyIsFull(
                "with this entry the account would have \(sum) bytes under the key, more than \(bytesPerAccount)")
        }
    }
}

extension Entry {
    /// What it adds to a key, in bytes.
    fileprivate var size: Int { metadata.utf8.count + signature.utf8.count }
}
