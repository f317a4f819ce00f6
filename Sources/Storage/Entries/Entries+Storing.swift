import Postgres
public import ShaCache

extension Entries {
    /// Puts an entry under a key, unless it has the same pair already: idempotent. When this returns, the entry is committed,
    /// and in the journal.
    ///
    /// - Throws: `Refusal.keyIsFull`, `.accountLimit` or `.withdrawn`; `ChangedMeanwhile`; `DatabaseError`; or `NotJournaled`.
    public func store(_ entry: Entry, under key: Key, upload: UploadRecord, limits: KeyLimits) throws {
        let upload = EntryUpload(entry: entry, digest: entry.digest, key: key, record: upload, limits: limits)
        switch groups.submit(upload, lead: storeGroup) {
        case .stored: return
        case .failed(let error): throw error
        case .alone: try session.retryingWhileUnavailable { try storeAlone(upload) }
        }
    }

    /// What needs no closer look, in one round trip. An error of any kind rolls all back, and each goes by itself.
    ///
    /// - Parameter release: lets the next group commit, while this one is written to the journal.
    private func storeGroup(_ members: [EntryGroups.GroupMember], release: () -> Void) {
        let limits = members[0].upload.limits
        var (stored, records) = ([EntryGroups.GroupMember](), JournalRecords())
        do {
            let rows = try connection.commit(
                """
                SELECT verdict, \(JournalFacts.columns(ofEntry: "stored")) FROM shacache.store_entries(
                    ARRAY[\(members.map(\.upload.row))]::shacache.entry_upload[],
                    \(limits.entries), \(limits.bytes), \(limits.entriesPerAccount), \(limits.bytesPerAccount))
                """)
            for (member, row) in zip(members, rows) {
                guard row.text(0) != nil else {
                    member.order(.end(.alone))
                    continue
                }
                stored.append(member)
                records.add(.entry, row, from: 1, hasSigner: true)
            }
        } catch {
            let isUnknown = (error as? DatabaseError)?.kind == .unknownOutcome
            for member in members { member.order(.end(isUnknown ? .failed(error) : .alone)) }
            return
        }
        release()
        let outcome: EntryGroups.GroupOutcome
        do throws(NotJournaled) {
            try Journal(in: files).append(records, session)
            outcome = .stored
        } catch {
            outcome = .failed(error)
        }
        for member in stored { member.order(.end(outcome)) }
    }

    /// Decides everything step by step, and waits for its locks.
    private func storeAlone(_ upload: EntryUpload) throws {
        let account = upload.record.account
        try session.journaling(in: files) {
            try session.lock(.storingEntries)
            try session.lock(.key(upload.key))
            try Identities(session).confirmIdentity(of: upload.record)
            try Signers(session).confirmSigners(of: upload.record)
            let known = try reuse(upload.entry, upload.digest, under: upload.key, by: account, upload.limits)
            if known == nil {
                try AccountQuotas(session).checkDay(of: account)
                try checkLimits(upload.entry, under: upload.key, by: account, limits: upload.limits)
            }
            // Before the entry, so that a concurrent withdrawal of the blob waits, and sees this entry.
            try connection.run(
                "SELECT FROM shacache.blob WHERE sha512 = \(upload.entry.sha512.bytes) FOR NO KEY UPDATE")
            let id = try connection.run(
                """
                SELECT (stored).id FROM shacache.record_entries(
                    ARRAY[\(upload.row)]::shacache.entry_upload[], ARRAY[\(known == nil ? "new" : "duplicate")])
                """
            ).first!.int(0)
            session.note(try JournalFacts(session).entry(known ?? id!))
        }
    }

    /// Notes that an account puts a pair that the key has already, in this or another spelling of its signature, and
    /// makes it visible again when only others had hidden it.
    ///
    /// - Returns: its number; nil when the key doesn't have it.
    private func reuse(
        _ entry: Entry, _ digest: [UInt8], under key: Key, by account: Account?, _ limits: KeyLimits
    ) throws -> Int? {
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
        guard let row, let id = row.int(0) else { return nil }
        let known = try ExistingUpload(row, from: 2, what: "entry", for: account)
        if known.withdrawal != nil { try limits.checkKey(adding: entry, to: holdings(under: key, of: account).key) }
        try liftForUpload(id, known, for: account)
        try connection.run("UPDATE shacache.entry SET renewed_at = now() WHERE id = \(id)")
        if !row.bool(1) { try connection.run("UPDATE shacache.entry SET is_shared = true WHERE id = \(id)") }
        return id
    }

    private func checkLimits(_ entry: Entry, under key: Key, by account: Account?, limits: KeyLimits) throws {
        let holdings = try holdings(under: key, of: account)
        try account?.checkLimit(.entriesPerKey, used: holdings.own.entries, adding: 1)
        try limits.checkKey(adding: entry, to: holdings.key)
        try limits.checkAccount(adding: entry, to: holdings.own)
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
}

/// An entry that is to be stored, with all that its transaction needs to know.
public struct EntryUpload: Sendable, GroupedUpload {
    let entry: Entry
    let digest: [UInt8]
    let key: Key
    let record: UploadRecord
    let limits: KeyLimits

    var exclusion: [UInt8] { Array(key.text.utf8) }
}

/// The entries that the threads of a process store at once.
public typealias EntryGroups = UploadGroups<EntryUpload>

extension EntryUpload {
    /// In the order of the columns of `entry_upload` in SQL.
    var row: SQL {
        """
        ROW(\(record.columns), \(key.text), \(entry.metadata), \(entry.signature), \(digest), \(entry.sha512.bytes), \
        \(record.signatureResult?.name), \(record.signatureResult?.signer), \(record.signersVersion), \
        \(entry.facts.softwareURL), \(entry.facts.multiarch), \(entry.facts.os))
        """
    }
}

extension UploadRecord {
    /// The first columns of `entry_upload` and `blob_upload` in SQL.
    var columns: SQL {
        """
        \(account?.id), \(certificate), \(account?.version), \(inetAddress), \(bytes), \(duration), \(requestID)
        """
    }

    /// From the first byte of the request until now.
    var duration: String { "\(start.duration(to: .now) / .milliseconds(1)) milliseconds" }

    /// nginx passes `unix:` for a client on a unix socket, which is no address to PostgreSQL.
    var inetAddress: String? { clientAddress.isEmpty || clientAddress == "unix:" ? nil : clientAddress }
}
