import OpenSSL
import Postgres
import ShaCache

/// Two steps, so that uploads of entries don't wait while many are read: after the first one nothing more comes with
/// the signer's signature. A crash in between leaves its entries to be seen: revoking again hides them.
extension Signers {
    /// From now on a signer's signatures count as those of an unknown one; what it signed before keeps its mark.
    ///
    /// - Parameters:
    ///   - since: in seconds since 1970: its key was compromised from then on. What it signed is hidden as far as it was put
    ///     since, and more of it is refused.
    ///   - files: whose journal has it.
    @discardableResult
    public func revoke(
        _ name: String, since: Int? = nil, by actor: String, in files: LocalBlobs
    ) throws -> WithdrawalResult? {
        let moment = try since.map { try text(ofMoment: $0) }
        let signer = try session.journaling(in: files) {
            let signer = try mark(name, since: since)
            try session.audit.append("signer revoke", of: name, by: actor, detail: moment.map { "since \($0)" } ?? "")
            session.note(try JournalFacts(session).describe(JournalRecords.Names(signers: [signer.id])))
            return signer
        }
        guard let since, let moment else { return nil }
        let reason = Reason("its signer \(name) is revoked since \(moment)")!
        return try hideEntries(
            of: signer, since: since, Withdrawal(by: actor, reason: reason), "signer \(name)", in: files)
    }

    /// For people.
    private func text(ofMoment moment: Int) throws -> String {
        try session.connection.run("SELECT to_char(to_timestamp(\(moment)), 'YYYY-MM-DD HH24:MI:SS \"UTC\"')").first!
            .text(0)!
    }

    private func mark(_ name: String, since: Int?) throws -> Signer {
        // Waits for the entries that are being stored, and lets no other begin: either this sees an entry, or the
        // entry's transaction sees this.
        try session.lock(.revokingSigner)
        let revoked = try session.connection.run(
            """
            UPDATE shacache.signer
            SET revoked_at = coalesce(revoked_at, now()), revoked_since = least(revoked_since, to_timestamp(\(since)))
            WHERE name = \(name) RETURNING id, public_key
            """)
        guard let row = revoked.first else { throw AdministrationError.unknown("signer", name) }
        return Signer(id: row.int(0)!, key: try PublicKey(der: row.bytes(1)!))
    }

    private func hideEntries(
        of signer: Signer, since: Int, _ withdrawal: Withdrawal, _ subject: String, in files: LocalBlobs
    ) throws -> WithdrawalResult? {
        let unknown = try entriesOfUnknown(signer, since: since)
        return try session.journaling(in: files) {
            let found = try session.connection.run(
                """
                SELECT id, withdrawal_id FROM shacache.entry
                WHERE (signer_id = \(signer.id) AND created_at >= to_timestamp(\(since))
                    OR id = ANY(\(unknown)::bigint[])) AND withdrawal_id IS NULL
                ORDER BY id FOR UPDATE
                """)
            return found.count == 0
                ? nil : try Entries(session, in: files).hide(Array(found), withdrawal, subject: subject)
        }
    }

    /// What came while the signer was unknown: before the signer was registered, or after it was revoked without a
    /// date. In pages: an entry may have half a megabyte.
    private func entriesOfUnknown(_ signer: Signer, since: Int) throws -> [String] {
        var found: [String] = []
        var last = 0
        while true {
            let page = try session.connection.run(
                """
                SELECT id, metadata, signature FROM shacache.entry
                WHERE id > \(last) AND signature_result = 'unknown signer' AND created_at >= to_timestamp(\(since))
                    AND withdrawal_id IS NULL
                ORDER BY id LIMIT 100
                """)
            for row in page {
                last = row.int(0)!
                if try row.isSigned(by: signer) { found.append("\(last)") }
            }
            if page.count == 0 { return found }
        }
    }
}

extension ResultRow {
    /// Of an entry's number, metadata and signature.
    fileprivate func isSigned(by signer: Signer) throws -> Bool {
        guard let entry = try? Entry(metadata: text(1)!, signature: text(2)!) else { return false }
        guard case .verified = try entry.verify(against: [signer]) else { return false }
        return true
    }
}
