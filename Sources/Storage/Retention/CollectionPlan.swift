import Postgres

/// What goes by the retention policies, and why: made in temporary tables of a session, so that it takes no memory here,
/// and for `collect apply` to page through.
///
///     pg_temp.going_entry (entry_id bigint, policy text, why text, …)   visible entries to hide
///     pg_temp.going_blob  (sha512 bytea, policy text, why text, …)      blobs that no entry names any more
///
/// A plan is as of its making, and nobody is kept from uploading meanwhile: who acts on it checks each thing again, under
/// its locks. Blobs go when no entry at all names them, and the policy that removed the last one (`blob.left_by`), or one
/// for unnamed blobs, lets them go. Nothing that is pinned or withdrawn is in either table.
public struct CollectionPlan {
    let session: Session
    let policies: [RetentionPolicy]
    /// Seconds since 1970.
    let now: Int
    /// In seconds: what was touched so short a time ago, nothing that acts on the plan takes (`Collection.Times`).
    private let untouched: Int
    var connection: Connection { session.connection }

    /// - Parameters:
    ///   - policies: in their order.
    ///   - now: seconds since 1970.
    ///   - untouched: see `Collection.Times`, for the plan to say what waits for that; in seconds.
    public init(_ session: Session, _ policies: [RetentionPolicy], now: Int, untouched: Int = 0) {
        (self.session, self.policies, self.now, self.untouched) = (session, policies, now, untouched)
    }

    /// What was touched since then waits.
    var cutoff: SQL { "to_timestamp(\(now - untouched))" }

    /// Makes the tables, in place of those of an earlier plan of the session.
    ///
    /// - Returns: what an operator should know of what stays, a line each.
    /// - Throws: `RetentionError` when the policies can't be obeyed: one names an account or a signer that isn't there, use
    ///   isn't known, or nothing at all would be left.
    @discardableResult
    public func prepare() throws -> [String] {
        try connection.transaction {
            try makeTables()
            try decideAll()
            try refuseToRemoveEverything()
            return try remarks()
        }
    }

    private func decideAll() throws {
        try checkUse()
        let decision = try EntryDecision(self, usedSince: try fillPolicies())
        let expired = try findExpired(decision)
        try findOutranked(decision, expired)
        try decideEntries(decision, expired)
        try applyBounds(decision)
        try connection.runScript("ANALYZE pg_temp.decided_entry")
        try makeView()
        try countNames()
        try decideLeftBlobs()
        try decideUnnamedBlobs()
        try sparePinnedBlobs()
    }

    /// A plan reads whole tables once: what is sorted and hashed shall rarely go to the disk. How much a policy matches,
    /// PostgreSQL can't guess: it would look up row by row, or sort, where it can hash, and do without the parallel workers,
    /// whose rows cost less than it believes.
    static let settings = """
        SET LOCAL work_mem = '128MB'; SET LOCAL jit = off; SET LOCAL enable_mergejoin = off;
        SET LOCAL enable_nestloop = off; SET LOCAL parallel_setup_cost = 100; SET LOCAL parallel_tuple_cost = 0.01
        """

    private func makeTables() throws {
        try connection.runScript(
            """
            \(Self.settings);
            DROP VIEW IF EXISTS pg_temp.going_entry;
            DROP TABLE IF EXISTS pg_temp.retention_policy, pg_temp.expired_entry, pg_temp.outranked_entry, pg_temp.decided_entry,
                pg_temp.bounded_entry, pg_temp.bounded_use, pg_temp.outbound_entry, pg_temp.name_count, pg_temp.going_blob,
                pg_temp.spared_blob;
            CREATE TEMPORARY TABLE retention_policy (
                number integer PRIMARY KEY, name text NOT NULL, uploaded_since timestamptz, used_since timestamptz,
                bytes bigint, why text NOT NULL);
            CREATE TEMPORARY TABLE expired_entry (entry_id bigint NOT NULL, at timestamptz NOT NULL);
            CREATE TEMPORARY TABLE outbound_entry (entry_id bigint NOT NULL);
            CREATE TEMPORARY TABLE going_blob (
                sha512 bytea NOT NULL, policy text NOT NULL, why text NOT NULL, size bigint NOT NULL,
                touched_at timestamptz NOT NULL);
            CREATE TEMPORARY TABLE spared_blob (LIKE pg_temp.going_blob)
            """)
    }

    /// What goes of what is decided, with the words for it.
    private func makeView() throws {
        try connection.runScript(
            """
            CREATE TEMPORARY VIEW going_entry AS
            SELECT decided.entry_id, policy.name AS policy, decided.number,
                'uploaded ' || (decided.created_at::date)::text
                    || coalesce(', expired ' || (expired.at::date)::text, '') || policy.why AS why
            FROM pg_temp.decided_entry AS decided
            JOIN pg_temp.retention_policy AS policy ON policy.number = decided.number
            LEFT JOIN pg_temp.expired_entry AS expired ON expired.entry_id = decided.entry_id
            WHERE NOT decided.is_pinned
            """)
    }

    /// Indexes the tables, for those who go through them page by page: it takes longer than to read them once.
    public func index() throws {
        try connection.runScript(
            """
            ALTER TABLE pg_temp.decided_entry ADD PRIMARY KEY (entry_id);
            ALTER TABLE pg_temp.expired_entry ADD PRIMARY KEY (entry_id);
            ALTER TABLE pg_temp.going_blob ADD PRIMARY KEY (sha512);
            ANALYZE pg_temp.going_blob
            """)
    }

    /// - Returns: since when each keeps what was used, in seconds since 1970.
    private func fillPolicies() throws -> [Int?] {
        let begin = try beginOfUse()
        // What nobody counted may have been used at any time before.
        let used = policies.map { policy in
            policy.keeps.sinceUse.map { now - $0.seconds <= begin ? Self.always : now - $0.seconds }
        }
        for (number, policy) in policies.enumerated() {
            let keeps = policy.keeps
            try connection.run(
                """
                INSERT INTO pg_temp.retention_policy
                VALUES (\(number), \(policy.name), to_timestamp(\(keeps.sinceUpload.map { now - $0.seconds })),
                    to_timestamp(\(used[number])), \(keeps.bytes), \(policy.why))
                """)
        }
        try connection.runScript("ANALYZE pg_temp.retention_policy")
        return used
    }

    /// What keeps more than its policy seems to say.
    private func remarks() throws -> [String] {
        let begin = try beginOfUse()
        return policies.compactMap { policy in
            guard let period = policy.keeps.sinceUse, now - period.seconds <= begin else { return nil }
            return "\(policy.name) keeps everything as used: downloads are counted for less than \(period.text)"
        }
    }

    /// Seconds since 1970, before all that was ever stored: what was used since then stays.
    static let always = 0

    /// Leaves out what is pinned, and keeps it apart for what the plan says.
    private func sparePinnedBlobs() throws {
        try connection.run(
            """
            WITH spared AS (
                DELETE FROM pg_temp.going_blob AS blob WHERE \(Pins.holdBlob) RETURNING blob.*
            )
            INSERT INTO pg_temp.spared_blob SELECT * FROM spared
            """)
    }

    private func refuseToRemoveEverything() throws {
        // What came last mostly stays: whether there is such, is known at once.
        let entries = try connection.run(
            """
            SELECT (
                    SELECT string_agg(name, ', ' ORDER BY name) FROM pg_temp.retention_policy AS policy
                    WHERE EXISTS (SELECT FROM pg_temp.decided_entry WHERE NOT is_pinned AND number = policy.number))
            WHERE NOT CASE
                WHEN EXISTS (
                    SELECT FROM shacache.entry WHERE withdrawal_id IS NULL
                        AND id > (SELECT max(entry_id) FROM pg_temp.decided_entry WHERE NOT is_pinned)) THEN true
                ELSE EXISTS (
                    SELECT FROM shacache.entry
                    WHERE withdrawal_id IS NULL AND NOT EXISTS (
                        SELECT FROM pg_temp.decided_entry AS going WHERE going.entry_id = entry.id AND NOT is_pinned))
                END
            """)
        try refuse(entries, "visible entry")
        let blobs = try connection.run(
            """
            SELECT (SELECT string_agg(DISTINCT policy, ', ') FROM pg_temp.going_blob)
            WHERE NOT EXISTS (
                SELECT FROM shacache.blob
                WHERE NOT EXISTS (SELECT FROM pg_temp.going_blob AS going WHERE going.sha512 = blob.sha512))
            """)
        try refuse(blobs, "blob")
    }

    /// - Parameter rows: none, unless all would go: then by which policies; NULL: by none, since there is nothing.
    private func refuse(_ rows: Rows, _ what: String) throws {
        guard let names = rows.first?.text(0) else { return }
        throw RetentionError(
            policies.first { $0.name == names }, "every \(what) would go, by \(names): that is hardly meant")
    }
}

extension RetentionPolicy {
    /// What is said of each thing that goes, behind when it came.
    fileprivate var why: String {
        var parts: [String] = []
        if let period = keeps.sinceUse { parts.append(", not used for \(period.text)") }
        if let newest = keeps.newest {
            parts.append(", not of the newest \(newest.count) of its \(newest.group.rawValue)")
        }
        if let bytes = keeps.bytes { parts.append(", least recently used beyond \(bytes) bytes") }
        return parts.joined()
    }
}
