import Postgres
public import ShaCache

/// What an account may store, against what it has stored.
struct AccountQuotas {
    let session: Session

    init(_ session: Session) { self.session = session }

    /// The final check, in the transaction that stores the blob. Uploads of an account with a quota are done one after
    /// the other from here on: each counts what those before it have stored. An account without a quota takes no lock.
    func checkQuota(of account: Account?, adding size: Int) throws {
        guard let account, account.hasQuota else { return }
        try session.lock(.account(account.id))
        try checkUsage(of: account, adding: size)
    }

    func checkUsage(of account: Account, adding size: Int) throws {
        guard account.hasQuota else { return }
        let used = try session.connection.run(
            """
            SELECT usage.blobs, usage.bytes
            FROM shacache.account CROSS JOIN LATERAL \(Self.usage) AS usage WHERE id = \(account.id)
            """
        ).first!
        try account.checkLimit(.blobs, used: used.int(0)!, adding: 1)
        try account.checkLimit(.bytes, used: used.int(1)!, adding: size)
    }

    /// Withdrawn entries count as well: a day's work is not undone by hiding it.
    func checkDay(of account: Account?) throws {
        guard let account, account.limits[.entriesPerDay] != nil else { return }
        try session.lock(.account(account.id))
        let used = try session.connection.run(
            "SELECT \(Self.entriesToday) FROM shacache.account WHERE id = \(account.id)"
        ).first!
        try account.checkLimit(.entriesPerDay, used: used.int(0)!, adding: 1)
    }
}

extension AccountQuotas {
    /// Of each row of shacache.account, what it has stored: blobs and bytes.
    static let usage: SQL =
        """
        (SELECT coalesce(sum(blobs), 0)::bigint AS blobs, coalesce(sum(bytes), 0)::bigint AS bytes
        FROM shacache.account_usage WHERE account_id = account.id)
        """

    /// Of each row of shacache.account, how many entries it has put since midnight.
    static let entriesToday: SQL =
        """
        (SELECT count(*) FROM shacache.entry
        WHERE account_id = account.id AND entry.created_at >= date_trunc('day', now(), 'UTC'))
        """
}

extension Account {
    fileprivate var hasQuota: Bool { limits[.bytes] != nil || limits[.blobs] != nil }

    /// - Throws: `Refusal.accountLimit`.
    public func checkLimit(_ limit: AccountLimit, used: Int, adding: Int) throws(Refusal) {
        // Not `used + adding`: a client's number could make it overflow.
        guard let most = limits[limit], adding > most - used else { return }
        let words =
            switch limit {
            case .bytes: "may store \(most) bytes, has stored \(used), and this blob has \(adding)"
            case .blobs: "may store \(most) \(most == 1 ? "blob" : "blobs"), and has stored \(used)"
            case .blobSize: "may store blobs of up to \(most) bytes, and this one has \(adding)"
            case .entriesPerDay: "may put \(most.entries) in a day (of UTC), and has put \(used)"
            case .entriesPerKey: "may have \(most.entries) under a key, and has \(used) under this one"
            }
        throw .accountLimit("\(limit.name): the account \(name) \(words)")
    }
}

extension Int {
    fileprivate var entries: String { self == 1 ? "1 entry" : "\(self) entries" }
}

extension AccountLimit {
    /// For people.
    var name: String { rawValue.replacing("_", with: " ") }
}

/// The sums of blobs and bytes that uploads keep for each account, and their reconciliation with the blobs themselves, and
/// with what lies in trash: it counts until its bytes are gone.
public struct AccountUsage {
    let session: Session

    public init(_ session: Session) { self.session = session }

    /// Compares the sums with the blobs and the trash. One statement, so that both sides come from one snapshot.
    ///
    /// - Parameter name: nil compares all accounts.
    /// - Returns: one row for each account, and whether all agree.
    public func compare(_ name: String? = nil) throws -> (table: Table, isRight: Bool) {
        if let name { _ = try Accounts(session).id(of: name) }
        let rows = try counted(name)
        return (Table(rows), !rows.contains(where: \.differs))
    }

    /// How many accounts have sums that differ from their blobs.
    public func countDiffering() throws -> Int { try counted(nil).count(where: \.differs) }

    /// Corrects the sums that `compare` finds to differ.
    ///
    /// - Returns: the comparison from before the repair.
    public func repair(_ name: String? = nil, by actor: String) throws -> (table: Table, isRight: Bool) {
        if let name { _ = try Accounts(session).id(of: name) }
        return try session.audit.transaction(changing: name ?? "") {
            // Two concurrent repairs would add the same difference twice. No upload takes this lock.
            try session.lock(.usageRepair)
            let rows = try counted(name)
            let differing = rows.filter(\.differs)
            for row in differing {
                try session.audit.append(
                    "account recount", of: row.text(0)!, by: actor,
                    detail: "blobs \(row.int(1)!) → \(row.int(2)!); bytes \(row.int(3)!) → \(row.int(4)!)")
            }
            if !differing.isEmpty { try addDifferences(differing) }
            return (Table(rows), differing.isEmpty)
        }
    }

    /// Adds the differences rather than setting the sums: uploads that commit meanwhile add theirs to both sides. Last in
    /// its transaction, since uploads wait for it; and in the order in which they lock the sums (`record_blobs`).
    private func addDifferences(_ rows: [ResultRow]) throws {
        let differences = rows.map { row -> SQL in
            "(\(row.text(0))::text, \(row.int(2)! - row.int(1)!)::bigint, \(row.int(4)! - row.int(3)!)::bigint)"
        }
        try session.connection.run(
            """
            INSERT INTO shacache.account_usage AS usage (account_id, shard, blobs, bytes)
            SELECT id, 0, blobs, bytes
            FROM (VALUES \(differences)) AS difference (name, blobs, bytes) JOIN shacache.account USING (name)
            ORDER BY id
            ON CONFLICT (account_id, shard)
            DO UPDATE SET blobs = usage.blobs + excluded.blobs, bytes = usage.bytes + excluded.bytes
            """)
    }

    private func counted(_ name: String?) throws -> Rows {
        try session.connection.run(
            """
            SELECT name AS account, usage.blobs AS stored_blobs, present.blobs AS counted_blobs,
                usage.bytes AS stored_bytes, present.bytes AS counted_bytes,
                CASE WHEN (usage.blobs, usage.bytes) = (present.blobs, present.bytes)
                    THEN 'right' ELSE 'differs' END AS state
            FROM shacache.account
            CROSS JOIN LATERAL \(AccountQuotas.usage) AS usage
            CROSS JOIN LATERAL (
                SELECT count(*) AS blobs, coalesce(sum(size), 0)::bigint AS bytes
                FROM (
                    SELECT size FROM shacache.blob WHERE account_id = account.id
                    UNION ALL SELECT size FROM shacache.trash WHERE account_id = account.id) AS stored) AS present
            WHERE name = coalesce(\(name), name) ORDER BY name
            """)
    }
}

extension ResultRow {
    /// Of a row of `counted`.
    fileprivate var differs: Bool { text(5) == "differs" }
}
