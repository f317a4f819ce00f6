import Postgres
import ShaCache

/// Something that is uploaded again, as the catalog has it.
struct Known {
    /// Why it is hidden, though not from who uploads it now: another account had withdrawn what was its own alone.
    let withdrawal: Withdrawal.Number?
}

/// Nobody must block a name for others by uploading what they have, and withdrawing it. So what an account withdrew
/// itself is shown again as soon as another one uploads the same, and is that one's too.
extension Catalog {
    /// - Returns: nil when there is no such blob; its size is in bytes.
    /// - Throws: `Refusal.withdrawn` when a withdrawal binds this account.
    func find(_ digest: Digest, for account: Account?) throws -> (blob: Known, size: Int)? {
        try connection.run(
            """
            SELECT size, withdrawal.id, withdrawal.reason, is_operators, withdrawal.account_id
            FROM shacache.blob LEFT JOIN shacache.withdrawal ON withdrawal.id = withdrawal_id
            WHERE sha512 = \(digest.bytes)
            """
        ).first.map { (try Known($0, from: 1, what: "blob", for: account), $0.int(0)!) }
    }

    func show(_ digest: Digest, _ known: Known, for account: Account?) throws {
        try lift(known, for: account, "blob \(digest)") { number in
            try connection.run(
                """
                UPDATE shacache.blob SET withdrawal_id = NULL
                WHERE sha512 = \(digest.bytes) AND withdrawal_id = \(number)
                """)
        }
    }

    func show(entry id: Int, _ known: Known, for account: Account?) throws {
        try lift(known, for: account, "entry \(id)") { number in
            try connection.run(
                "UPDATE shacache.entry SET withdrawal_id = NULL WHERE id = \(id) AND withdrawal_id = \(number)")
        }
    }

    /// A withdrawal that hides more stays for that.
    private func lift(
        _ known: Known, for account: Account?, _ what: String, show: (Withdrawal.Number) throws -> Void
    ) throws {
        guard let number = known.withdrawal, let actor = account?.actor else { return }
        // Before what it hides, as `lift` of an operator locks them.
        try connection.run("SELECT FROM shacache.withdrawal WHERE id = \(number) FOR UPDATE")
        try show(number)
        try closeIfEmpty(number, by: actor)
        try audit(actor, "withdrawal lift", "\(number)", "uploaded again: \(what)")
    }

    func closeIfEmpty(_ number: Withdrawal.Number, by actor: String) throws {
        try connection.run(
            """
            UPDATE shacache.withdrawal SET lifted_at = now(), lifted_by = \(actor)
            WHERE id = \(number) AND lifted_at IS NULL
                AND NOT EXISTS (SELECT FROM shacache.entry WHERE withdrawal_id = \(number))
                AND NOT EXISTS (SELECT FROM shacache.blob WHERE withdrawal_id = \(number))
            """)
    }
}

extension Known {
    /// - Parameter column: the withdrawal's number; then its reason, whether it is operators', and its account.
    init(_ row: Rows.Row, from column: Int, what: String, for account: Account?) throws(Refusal) {
        withdrawal = row.int(column)
        guard withdrawal != nil else { return }
        guard !row.bool(column + 2), let account, account.id != row.int(column + 3) else {
            throw .withdrawn(what, reason: row.text(column + 1)!)
        }
    }
}
