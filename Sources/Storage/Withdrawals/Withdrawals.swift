import Postgres
import ShaCache

/// The record of withdrawals: what was hidden, the actor and the reason.
public struct Withdrawals {
    let session: Session
    private var connection: Connection { session.connection }

    public init(_ session: Session) { self.session = session }

    public func table() throws -> Table {
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

    func insert(
        _ withdrawal: Withdrawal, of target: WithdrawalTarget, subject: String
    ) throws -> Withdrawal.Number {
        let number = try connection.run(
            """
            INSERT INTO shacache.withdrawal (actor, account_id, target, subject, reason, is_operators)
            VALUES (
                \(withdrawal.actor), \(withdrawal.account?.id), \(target.rawValue), \(subject), \(withdrawal.reason.text),
                \(withdrawal.isByOperator))
            RETURNING id
            """
        ).first!.int(0)!
        try noteState(of: number)
        return number
    }

    /// An account's own withdrawal has nothing left to hide where an operator's took its place.
    func replace(_ old: Withdrawal.Number, by new: Withdrawal.Number, _ actor: String) throws {
        try closeIfEmpty(old, by: actor)
        try session.audit.append(
            "withdrawal lift", of: "\(old)", by: actor, detail: "withdrawal \(new) takes its place")
    }

    /// What an account withdrew itself is shown again when another one uploads the same. A withdrawal that hides more
    /// stays for that.
    func lift(
        _ known: ExistingUpload, for account: Account?, _ what: String, restore: (Withdrawal.Number) throws -> Void
    ) throws {
        guard let number = known.withdrawal, let actor = account?.actor else { return }
        // Before what it hides, as `clear` locks them.
        try connection.run("SELECT FROM shacache.withdrawal WHERE id = \(number) FOR UPDATE")
        try restore(number)
        try closeIfEmpty(number, by: actor)
        try session.audit.append(
            "withdrawal lift", of: "\(number)", by: actor, detail: "uploaded again: \(what)")
    }

    private func closeIfEmpty(_ number: Withdrawal.Number, by actor: String) throws {
        try connection.run(
            """
            UPDATE shacache.withdrawal SET lifted_at = now(), lifted_by = \(actor)
            WHERE id = \(number) AND lifted_at IS NULL
                AND NOT EXISTS (SELECT FROM shacache.entry WHERE withdrawal_id = \(number))
                AND NOT EXISTS (SELECT FROM shacache.blob WHERE withdrawal_id = \(number))
            """)
        try noteState(of: number)
    }

    /// For the journal: whether it is lifted.
    func noteState(of number: Withdrawal.Number) throws {
        session.note(try JournalFacts(session).withdrawal(number))
    }

    // MARK: Lifting by an operator

    /// The blob of a withdrawal; nil when it is one of entries, or there is none.
    func blob(of number: Withdrawal.Number) throws -> Digest? {
        try connection.run("SELECT subject FROM shacache.withdrawal WHERE id = \(number) AND target = 'blob'")
            .first.flatMap { Digest($0.text(0)!) }
    }

    /// Shows in the database what a withdrawal hides.
    ///
    /// - Returns: how many entries are visible again.
    /// - Throws: `AdministrationError`, also when it is lifted already.
    @discardableResult
    func clear(_ number: Withdrawal.Number, by actor: String, in files: LocalBlobs) throws -> Int {
        try session.journaling(in: files) {
            try close(number, by: actor)
            let count = try showEntries(of: number, by: actor)
            try connection.run("UPDATE shacache.blob SET withdrawal_id = NULL WHERE withdrawal_id = \(number)")
            try session.audit.append("withdrawal lift", of: "\(number)", by: actor, detail: "")
            try noteState(of: number)
            return count
        }
    }

    /// Shows some of what retention hides under a number.
    ///
    /// - Parameter condition: of rows of `entry`.
    /// - Returns: how many entries are visible again.
    func showRetained(_ number: Withdrawal.Number, where condition: SQL, by actor: String) throws -> Int {
        let entries = try connection.run(
            "SELECT id FROM shacache.entry WHERE withdrawal_id = \(number) AND \(condition) ORDER BY id FOR UPDATE"
        ).map { $0.int(0)! }
        var shown = JournalRecords()
        shown.add(.shown, withdrawal: number, entries: entries)
        session.note(shown)
        try showEntries(of: number, where: condition, by: actor)
        try closeIfEmpty(number, by: actor)
        return entries.count
    }

    /// What comes back from retention has an audit row each, and it and its blobs are as if they were put anew: their policy
    /// would hide them at once otherwise. Their rows are locked behind those of the entries, and in their order, as
    /// uploads lock them.
    @discardableResult
    private func showEntries(
        of number: Withdrawal.Number, where condition: SQL = "true", by actor: String
    ) throws -> Int {
        try connection.run(
            """
            WITH shown AS (
                UPDATE shacache.entry
                SET withdrawal_id = NULL, renewed_at = CASE WHEN is_retention THEN now() ELSE renewed_at END
                FROM shacache.withdrawal
                WHERE withdrawal_id = \(number) AND withdrawal.id = \(number) AND \(condition)
                RETURNING key, entry.id, sha512, is_retention
            ), audited AS (
                INSERT INTO shacache.audit (actor, action, subject, detail)
                SELECT \(actor), 'entry restore', key, format('entry %s, withdrawal %s', id, \(number)::bigint)
                FROM shown WHERE is_retention ORDER BY id
            ), retained AS MATERIALIZED (
                SELECT sha512 FROM shacache.blob WHERE sha512 IN (SELECT sha512 FROM shown WHERE is_retention)
                ORDER BY sha512 FOR NO KEY UPDATE
            ), touched AS (
                UPDATE shacache.blob SET last_referenced_at = now() FROM retained WHERE blob.sha512 = retained.sha512
            )
            SELECT count(*) FROM shown
            """
        ).first!.int(0)!
    }

    private func close(_ number: Withdrawal.Number, by actor: String) throws {
        let found = try connection.run(
            "SELECT lifted_at, lifted_by, removed_at FROM shacache.withdrawal WHERE id = \(number) FOR UPDATE")
        guard let row = found.first else { throw AdministrationError.unknown("withdrawal", "\(number)") }
        if let lifted = row.text(0) {
            throw AdministrationError.cannotLift(number, "\(row.text(1)!) has lifted it, at \(lifted)")
        }
        if let removed = row.text(2) {
            throw AdministrationError.cannotLift(number, "a collection removed what it hid, at \(removed)")
        }
        try connection.run(
            "UPDATE shacache.withdrawal SET lifted_at = now(), lifted_by = \(actor) WHERE id = \(number)")
    }
}
