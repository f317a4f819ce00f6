import OpenSSL
import Postgres
public import ShaCache

extension Catalog {
    /// Hides the entries under a key that whoever withdraws may hide: his own that nobody else put as well; an operator
    /// all.
    ///
    /// - Parameter digest: only those that name this blob.
    /// - Throws: `Refusal.nothingToWithdraw`, or `.notAuthorized` when all that is there is others' too.
    public func withdrawEntries(
        under key: Key, naming digest: Digest?, _ withdrawal: Withdrawal
    ) throws -> Withdrawal.Outcome {
        try connection.transaction {
            try lock(key)
            let found = try connection.run(
                """
                SELECT id, account_id = \(withdrawal.account?.id) AND NOT is_shared
                FROM shacache.entry
                WHERE key = \(key.text) AND withdrawal_id IS NULL AND sha512 = coalesce(\(digest?.bytes), sha512)
                ORDER BY id FOR UPDATE
                """)
            guard found.count > 0 else {
                throw Refusal.nothingToWithdraw("nothing of that is listed under the key \(key.text)")
            }
            let chosen = found.filter { withdrawal.isOperators || $0.bool(1) }.map { $0.text(0)! }
            guard !chosen.isEmpty else {
                throw Refusal.notAuthorized(
                    "other accounts have put what is listed under the key \(key.text): an operator can withdraw it")
            }
            return try hide(chosen, withdrawal, subject: key.text)
        }
    }

    /// Hides these entries, all or none.
    ///
    /// - Parameter numbers: as `entries(under:)` lists them.
    public func withdrawEntries(_ numbers: [Int], _ withdrawal: Withdrawal) throws -> Withdrawal.Outcome {
        let wanted = numbers.map { "\($0)" }
        return try connection.transaction {
            let found = try connection.run(
                """
                SELECT id FROM shacache.entry
                WHERE id = ANY(\(wanted)::bigint[]) AND withdrawal_id IS NULL ORDER BY id FOR UPDATE
                """
            ).map { $0.text(0)! }
            if let missing = Set(wanted).subtracting(found).sorted().first {
                throw AdministrationError.unknown("visible entry", missing)
            }
            return try hide(found, withdrawal, subject: "entries \(found.joined(separator: " "))")
        }
    }

    /// From now on a signer's signatures count as those of an unknown one; what it signed before keeps its mark.
    ///
    /// - Parameter since: in seconds since 1970: its key was in other hands from then on. What it signed is hidden as
    ///   far as it was put since, and more of it is refused.
    @discardableResult
    public func revokeSigner(_ name: String, since: Int? = nil, by actor: String) throws -> Withdrawal.Outcome? {
        try administering(name) {
            // Waits for the uploads that it verified and that are under way: see Catalog.checkAgain.
            let found = try connection.run("SELECT id, public_key FROM shacache.signer WHERE name = \(name) FOR UPDATE")
            guard let row = found.first else { throw AdministrationError.unknown("signer", name) }
            let signer = Signer(id: row.int(0)!, key: try PublicKey(der: row.bytes(1)!))
            try connection.run(
                """
                UPDATE shacache.signer
                SET revoked_at = coalesce(revoked_at, now()),
                    revoked_since = least(revoked_since, to_timestamp(\(since)))
                WHERE id = \(signer.id)
                """)
            let outcome = try since.flatMap { try hideEntries(of: signer, name, since: $0, by: actor) }
            try audit(actor, "signer revoke", name, outcome.map { "withdrawal \($0.number)" } ?? "")
            return outcome
        }
    }

    private func hideEntries(
        of signer: Signer, _ name: String, since: Int, by actor: String
    ) throws -> Withdrawal.Outcome? {
        let unknown = try entriesOfUnknown(signer, since: since)
        let found = try connection.run(
            """
            SELECT id, to_char(to_timestamp(\(since)), 'YYYY-MM-DD HH24:MI:SS')
            FROM shacache.entry
            WHERE (signer_id = \(signer.id) AND created_at >= to_timestamp(\(since)) OR id = ANY(\(unknown)::bigint[]))
                AND withdrawal_id IS NULL
            ORDER BY id FOR UPDATE
            """)
        guard let moment = found.first?.text(1) else { return nil }
        let reason = Reason("its signer \(name) is revoked since \(moment) UTC")!
        return try hide(
            found.map { $0.text(0)! }, Withdrawal(by: actor, reason: reason), subject: "signer \(name)")
    }

    /// What came while nobody knew the signer: before he was registered, or after he was revoked without a date.
    private func entriesOfUnknown(_ signer: Signer, since: Int) throws -> [String] {
        try connection.run(
            """
            SELECT id, metadata, signature FROM shacache.entry
            WHERE signature_result = 'unknown signer' AND created_at >= to_timestamp(\(since))
                AND withdrawal_id IS NULL
            """
        ).compactMap { row in
            guard let entry = try? Entry(metadata: row.text(1)!, signature: row.text(2)!),
                case .verified = entry.verify(against: [signer])
            else { return nil }
            return row.text(0)!
        }
    }

    private func hide(
        _ entries: [String], _ withdrawal: Withdrawal, subject: String
    ) throws -> Withdrawal.Outcome {
        let number = try record(withdrawal, of: .entries, subject: subject)
        try connection.run(
            "UPDATE shacache.entry SET withdrawal_id = \(number) WHERE id = ANY(\(entries)::bigint[])")
        try audit(
            withdrawal.actor, "entry withdraw", subject,
            "withdrawal \(number) (entries: \(entries.count)): \(withdrawal.reason.text)")
        return Withdrawal.Outcome(number: number, count: entries.count)
    }

    func record(
        _ withdrawal: Withdrawal, of target: Withdrawal.Target, subject: String
    ) throws -> Withdrawal.Number {
        try connection.run(
            """
            INSERT INTO shacache.withdrawal (actor, account_id, target, subject, reason, is_operators)
            VALUES (
                \(withdrawal.actor), \(withdrawal.account?.id), \(target.rawValue), \(subject), \(withdrawal.reason.text),
                \(withdrawal.isOperators))
            RETURNING id
            """
        ).first!.int(0)!
    }

    // MARK: Lists

    public func withdrawals() throws -> Table {
        Table(
            try connection.run(
                """
                SELECT id AS number, date_trunc('second', at) AS at, target, subject, actor, reason,
                    CASE target WHEN 'entries' THEN
                        (SELECT count(*) FROM shacache.entry WHERE withdrawal_id = withdrawal.id)
                    ELSE (SELECT count(*) FROM shacache.blob WHERE withdrawal_id = withdrawal.id) END AS hidden,
                    date_trunc('second', lifted_at) AS lifted_at, lifted_by
                FROM shacache.withdrawal ORDER BY id
                """))
    }

    /// What stands under a key, oldest first, withdrawn entries too.
    public func entries(under key: Key) throws -> Table {
        Table(
            try connection.run(
                """
                SELECT entry.id AS number, date_trunc('second', entry.created_at) AS created_at,
                    account.name AS account, signature_result AS signature, signer.name AS signer,
                    entry.withdrawal_id AS withdrawal, software_url, multiarch, encode(sha512, 'hex') AS sha512
                FROM shacache.entry
                JOIN shacache.account ON account.id = entry.account_id
                LEFT JOIN shacache.signer ON signer.id = signer_id
                WHERE key = \(key.text) ORDER BY entry.id
                """))
    }
}
