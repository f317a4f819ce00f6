import Postgres
public import ShaCache

extension Entries {
    /// Hides the entries under a key that the actor may hide: its own that no other account put as well; an
    /// operator all.
    ///
    /// - Parameters:
    ///   - digest: only those that name this blob.
    ///   - pair: only the one whose `Entry.digest` this is, in lowercase hex.
    /// - Throws: `Refusal.nothingToWithdraw`, or `.notAuthorized` when all that is there is others' too.
    public func withdraw(
        under key: Key, naming digest: Digest?, pair: String? = nil, _ withdrawal: Withdrawal
    ) throws -> WithdrawalResult {
        try session.journaling(in: files) {
            try session.lock(.key(key))
            if withdrawal.isByOperator { try holdWithdrawals(under: key) }
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
            let chosen = found.filter { withdrawal.isByOperator || $0.bool(2) }
            guard !chosen.isEmpty else {
                throw Refusal.notAuthorized(
                    "other accounts have put what is listed under the key \(key.text): an operator can withdraw it")
            }
            return try hide(chosen, withdrawal, subject: key.text)
        }
    }

    /// Hides these entries, all or none.
    ///
    /// - Parameter numbers: as `table(under:)` lists them.
    public func withdrawNumbered(_ numbers: [Int], _ withdrawal: Withdrawal) throws -> WithdrawalResult {
        let wanted = numbers.map { "\($0)" }
        return try session.journaling(in: files) {
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

    /// The withdrawals' rows first, as lifting does, or the two could deadlock.
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
    func hide(_ entries: [ResultRow], _ withdrawal: Withdrawal, subject: String) throws -> WithdrawalResult {
        let withdrawals = Withdrawals(session)
        let number = try withdrawals.insert(withdrawal, of: .entries, subject: subject)
        try connection.run(
            """
            UPDATE shacache.entry SET withdrawal_id = \(number)
            WHERE id = ANY(\(entries.map { $0.text(0)! })::bigint[])
            """)
        try session.audit.append(
            "entry withdraw", of: subject, by: withdrawal.actor,
            detail: "withdrawal \(number) (entries: \(entries.count)): \(withdrawal.reason.text)")
        session.note(try JournalFacts(session).hidden(by: number))
        for old in Set(entries.compactMap { $0.int(1) }).sorted() {
            try withdrawals.replace(old, by: number, withdrawal.actor)
        }
        return WithdrawalResult(number: number, count: entries.count)
    }

    /// Shows a hidden entry again, because another account than the one that hid it puts it.
    func liftForUpload(_ id: Int, _ known: ExistingUpload, for account: Account?) throws {
        try Withdrawals(session).lift(known, for: account, "entry \(id)") { number in
            var shown = JournalRecords()
            shown.add(.shown, withdrawal: number, entries: [id])
            session.note(shown)
            try connection.run(
                "UPDATE shacache.entry SET withdrawal_id = NULL WHERE id = \(id) AND withdrawal_id = \(number)")
        }
    }
}
