import Postgres

/// The sums of blobs and bytes that uploads keep for each account, and their reconciliation with the blobs themselves.
public struct AccountUsage {
    let session: Session

    public init(_ session: Session) { self.session = session }

    /// Compares the sums with the blobs. One statement, so that both sides come from one snapshot.
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
            for row in rows where row.differs { try addDifference(of: row, by: actor) }
            return (Table(rows), !rows.contains(where: \.differs))
        }
    }

    /// Adds the difference rather than setting the sum: uploads that commit meanwhile add theirs to both sides.
    private func addDifference(of row: ResultRow, by actor: String) throws {
        let (blobs, bytes) = (row.int(2)! - row.int(1)!, row.int(4)! - row.int(3)!)
        try session.connection.run(
            """
            INSERT INTO shacache.account_usage AS usage (account_id, shard, blobs, bytes)
            SELECT id, 0, \(blobs), \(bytes) FROM shacache.account WHERE name = \(row.text(0))
            ON CONFLICT (account_id, shard)
            DO UPDATE SET blobs = usage.blobs + excluded.blobs, bytes = usage.bytes + excluded.bytes
            """)
        try session.audit.append(
            "account recount", of: row.text(0)!, by: actor,
            detail: "blobs \(row.int(1)!) → \(row.int(2)!); bytes \(row.int(3)!) → \(row.int(4)!)")
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
                FROM shacache.blob WHERE account_id = account.id) AS present
            WHERE name = coalesce(\(name), name) ORDER BY name
            """)
    }
}

extension ResultRow {
    /// Of a row of `counted`.
    fileprivate var differs: Bool { text(5) == "differs" }
}
