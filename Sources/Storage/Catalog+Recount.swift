import Postgres

extension Catalog {
    /// What accounts have stored: as the uploads added it up, beside the blobs themselves. One statement, so both are
    /// of the same moment.
    ///
    /// - Parameter name: nil counts for all.
    /// - Returns: one row for each account.
    public func recount(_ name: String? = nil) throws -> (table: Table, isRight: Bool) {
        if let name { _ = try accountID(name) }
        let rows = try counted(name)
        return (Table(rows), !rows.contains(where: \.differs))
    }

    /// How many accounts `recount` would find to differ.
    public func miscountedAccounts() throws -> Int { try counted(nil).count(where: \.differs) }

    /// Puts right what `recount` finds.
    ///
    /// - Returns: what was found before.
    public func repairUsage(_ name: String? = nil, by actor: String) throws -> (table: Table, isRight: Bool) {
        if let name { _ = try accountID(name) }
        return try administering(name ?? "") {
            // Two that repair at once would add the same difference twice. No upload takes this lock.
            try connection.run("SELECT pg_advisory_xact_lock(2, 0)")
            let rows = try counted(name)
            for row in rows where row.differs { try repair(row, by: actor) }
            return (Table(rows), !rows.contains(where: \.differs))
        }
    }

    /// Adds what is missing: uploads that commit meanwhile have added theirs to both sides.
    private func repair(_ row: Rows.Row, by actor: String) throws {
        let (blobs, bytes) = (row.int(2)! - row.int(1)!, row.int(4)! - row.int(3)!)
        try connection.run(
            """
            INSERT INTO shacache.account_usage AS usage (account_id, shard, blobs, bytes)
            SELECT id, 0, \(blobs), \(bytes) FROM shacache.account WHERE name = \(row.text(0))
            ON CONFLICT (account_id, shard)
            DO UPDATE SET blobs = usage.blobs + excluded.blobs, bytes = usage.bytes + excluded.bytes
            """)
        try audit(
            actor, "account recount", row.text(0)!,
            "blobs \(row.int(1)!) → \(row.int(2)!); bytes \(row.int(3)!) → \(row.int(4)!)")
    }

    private func counted(_ name: String?) throws -> Rows {
        try connection.run(
            """
            SELECT name AS account, usage.blobs AS stored_blobs, present.blobs AS counted_blobs,
                usage.bytes AS stored_bytes, present.bytes AS counted_bytes,
                CASE WHEN (usage.blobs, usage.bytes) = (present.blobs, present.bytes)
                    THEN 'right' ELSE 'differs' END AS state
            FROM shacache.account
            CROSS JOIN LATERAL \(Self.usage) AS usage
            CROSS JOIN LATERAL (
                SELECT count(*) AS blobs, coalesce(sum(size), 0)::bigint AS bytes
                FROM shacache.blob WHERE account_id = account.id) AS present
            WHERE name = coalesce(\(name), name) ORDER BY name
            """)
    }
}

extension Rows.Row {
    /// Of what `counted` found.
    fileprivate var differs: Bool { text(5) == "differs" }
}
