import Postgres
public import ShaCache

extension Catalog {
    /// Hides the entries under a key that whoever withdraws may hide: his own that nobody else put as well; an operator
    /// all.
    ///
    /// - Parameters:
    ///   - digest: only those that name this blob.
    ///   - pair: only the one whose `Entry.digest` this is, in lowercase hex.
    /// - Throws: `Refusal.nothingToWithdraw`, or `.notAuthorized` when all that is there is others' too.
    public func withdrawEntries(
        under key: Key, naming digest: Digest?, pair: String? = nil, _ withdrawal: Withdrawal
    ) throws -> Withdrawal.Outcome {
        try connection.transaction {
            try lock(key)
            if withdrawal.isOperators { try holdWithdrawals(under: key) }
            let found = try connection.run(
                """
                SELECT id, withdrawal_id, account_id = \(withdrawal.account?.id) AND NOT is_shared
                FROM shacache.entry
                WHERE key = \(key.text) AND \(withdrawal.hideable) AND sha512 = coalesce(\(digest?.bytes), sha512)
                    AND encode(digest, 'hex') = coalesce(\(pair), encode(digest, 'hex'))
                ORDER BY id FOR UPDATE
                """)
            guard found.count > 0 else {
                throw Refusal.nothingToWithdraw("nothing of that is listed under the key \(key.text)")
            }
            let chosen = found.filter { withdrawal.isOperators || $0.bool(2) }
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
            try holdWithdrawals(of: wanted)
            let found = try connection.run(
                """
                SELECT id, withdrawal_id FROM shacache.entry
                WHERE id = ANY(\(wanted)::bigint[]) AND \(withdrawal.hideable) ORDER BY id FOR UPDATE
                """)
            let names = found.map { $0.text(0)! }
            if let missing = Set(wanted).subtracting(names).sorted().first {
                throw AdministrationError.unknown("visible entry", missing)
            }
            return try hide(Array(found), withdrawal, subject: "entries \(names.joined(separator: " "))")
        }
    }

    /// Before what they hide, as whoever lifts them locks them.
    private func holdWithdrawals(under key: Key) throws {
        try holdWithdrawals(
            of: try connection.run("SELECT id FROM shacache.entry WHERE key = \(key.text)").map { $0.text(0)! })
    }

    private func holdWithdrawals(of entries: [String]) throws {
        try connection.run(
            """
            SELECT FROM shacache.withdrawal
            WHERE id IN (SELECT withdrawal_id FROM shacache.entry WHERE id = ANY(\(entries)::bigint[]))
            ORDER BY id FOR UPDATE
            """)
    }

    /// - Parameter entries: their numbers, and those of the withdrawals of which this one takes the place.
    func hide(_ entries: [Rows.Row], _ withdrawal: Withdrawal, subject: String) throws -> Withdrawal.Outcome {
        let number = try record(withdrawal, of: .entries, subject: subject)
        try connection.run(
            """
            UPDATE shacache.entry SET withdrawal_id = \(number)
            WHERE id = ANY(\(entries.map { $0.text(0)! })::bigint[])
            """)
        try audit(
            withdrawal.actor, "entry withdraw", subject,
            "withdrawal \(number) (entries: \(entries.count)): \(withdrawal.reason.text)")
        for old in Set(entries.compactMap { $0.int(1) }).sorted() {
            try replace(old, by: number, withdrawal.actor)
        }
        return Withdrawal.Outcome(number: number, count: entries.count)
    }

    /// An account's own withdrawal has nothing left to hide where an operator's took its place.
    func replace(_ old: Withdrawal.Number, by new: Withdrawal.Number, _ actor: String) throws {
        try closeIfEmpty(old, by: actor)
        try audit(actor, "withdrawal lift", "\(old)", "withdrawal \(new) takes its place")
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
