import Postgres

/// What goes by the retention policies, and why: made in temporary tables of a session, so that it takes no memory here,
/// and for `collect apply` to page through.
///
///     pg_temp.going_entry (entry_id bigint PRIMARY KEY, policy text, why text, …)   visible entries to hide
///     pg_temp.going_blob  (sha512 bytea PRIMARY KEY, policy text, why text, …)      blobs that no entry names any more
///
/// A plan is as of its making, and nobody is kept from uploading meanwhile: who acts on it checks each thing again, under
/// its locks. Blobs go when no entry at all names them, and the policy that removed the last one (`blob.left_by`), or one
/// for unnamed blobs, lets them go. Nothing that is pinned or withdrawn is in either table.
public struct CollectionPlan {
    let session: Session
    let policies: [RetentionPolicy]
    /// Seconds since 1970.
    let now: Int
    var connection: Connection { session.connection }

    /// - Parameters:
    ///   - policies: in their order.
    ///   - now: seconds since 1970.
    public init(_ session: Session, _ policies: [RetentionPolicy], now: Int) {
        (self.session, self.policies, self.now) = (session, policies, now)
    }

    /// Makes the tables, in place of those of an earlier plan of the session.
    ///
    /// - Returns: what an operator should know of what stays, a line each.
    /// - Throws: `RetentionError` when the policies can't be obeyed: one names an account or a signer that isn't there, use
    ///   isn't known, or nothing at all would be left.
    @discardableResult
    public func prepare() throws -> [String] {
        try connection.transaction {
            try makeTables()
            if !policies.isEmpty { try decideAll() }
            try index()
            try refuseToRemoveEverything()
            return try remarks()
        }
    }

    private func decideAll() throws {
        let decision = try EntryDecision(self)
        try checkUse()
        let used = try fillPolicies()
        try findExpired(matching: decision)
        try connection.run(
            "CREATE TEMPORARY TABLE matched_entry AS \(decision.matched(now: now, usedSince: used))")
        try connection.runScript("ANALYZE pg_temp.matched_entry")
        let bounded = try excesses()
        try findUse(isBounded: !bounded.isEmpty)
        try findOutranked()
        try decide(into: .going)
        if !bounded.isEmpty { try applyBounds(bounded) }
        try decideLeftBlobs()
        try decideUnnamedBlobs()
        try sparePinned()
    }

    private func makeTables() throws {
        // A plan reads whole tables once: what is sorted and hashed shall rarely go to the disk.
        try connection.runScript(
            """
            SET LOCAL work_mem = '128MB'; SET LOCAL jit = off; SET LOCAL cursor_tuple_fraction = 1;
            DROP TABLE IF EXISTS pg_temp.retention_policy, pg_temp.expired_entry, pg_temp.matched_entry, pg_temp.outranked_entry, pg_temp.used_blob,
                pg_temp.used_key, pg_temp.going_entry, pg_temp.going_blob, pg_temp.bounded_entry, pg_temp.spared_entry,
                pg_temp.spared_blob, pg_temp.planned_blob;
            CREATE TEMPORARY TABLE retention_policy (
                number integer PRIMARY KEY, name text NOT NULL, uploaded_since timestamptz, used_since timestamptz,
                newest bigint, newest_of text, bytes bigint, why text NOT NULL);
            CREATE TEMPORARY TABLE expired_entry (entry_id bigint NOT NULL, at timestamptz NOT NULL);
            CREATE TEMPORARY TABLE outranked_entry (entry_id bigint NOT NULL);
            CREATE TEMPORARY TABLE used_blob (sha512 bytea NOT NULL, at timestamptz NOT NULL);
            CREATE TEMPORARY TABLE used_key (key text COLLATE "C" NOT NULL, at timestamptz NOT NULL);
            CREATE TEMPORARY TABLE going_entry (
                entry_id bigint NOT NULL, policy text NOT NULL, why text NOT NULL, number integer NOT NULL,
                sha512 bytea NOT NULL, is_pinned boolean NOT NULL);
            CREATE TEMPORARY TABLE bounded_entry (LIKE pg_temp.going_entry);
            CREATE TEMPORARY TABLE spared_entry (LIKE pg_temp.going_entry);
            CREATE TEMPORARY TABLE going_blob (
                sha512 bytea NOT NULL, policy text NOT NULL, why text NOT NULL, size bigint NOT NULL);
            CREATE TEMPORARY TABLE spared_blob (LIKE pg_temp.going_blob)
            """)
    }

    private func index() throws {
        try connection.runScript(
            """
            ALTER TABLE pg_temp.going_entry ADD PRIMARY KEY (entry_id);
            ALTER TABLE pg_temp.going_blob ADD PRIMARY KEY (sha512);
            ANALYZE pg_temp.going_entry; ANALYZE pg_temp.going_blob
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
                    to_timestamp(\(used[number])), \(keeps.newest?.count), \(keeps.newest?.group.rawValue), \(keeps.bytes),
                    \(policy.why(now: now)))
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
    private func sparePinned() throws {
        try connection.run(
            """
            WITH spared AS (DELETE FROM pg_temp.going_entry WHERE is_pinned RETURNING *)
            INSERT INTO pg_temp.spared_entry SELECT * FROM spared
            """)
        try connection.run(
            """
            WITH spared AS (
                DELETE FROM pg_temp.going_blob AS going USING shacache.pin
                WHERE pin.sha512 = going.sha512 AND pin.removed_at IS NULL RETURNING going.*
            )
            INSERT INTO pg_temp.spared_blob SELECT * FROM spared
            """)
    }

    private func refuseToRemoveEverything() throws {
        let entries = try connection.run(
            """
            SELECT EXISTS (SELECT FROM pg_temp.going_entry) AND NOT EXISTS (
                    SELECT FROM shacache.entry
                    WHERE withdrawal_id IS NULL AND NOT EXISTS (
                        SELECT FROM pg_temp.going_entry AS going WHERE going.entry_id = entry.id)),
                (SELECT string_agg(DISTINCT policy, ', ') FROM pg_temp.going_entry)
            """
        ).first!
        try refuse(entries, "visible entry")
        let blobs = try connection.run(
            """
            SELECT EXISTS (SELECT FROM pg_temp.going_blob) AND NOT EXISTS (
                    SELECT FROM shacache.blob
                    WHERE NOT EXISTS (SELECT FROM pg_temp.going_blob AS going WHERE going.sha512 = blob.sha512)),
                (SELECT string_agg(DISTINCT policy, ', ') FROM pg_temp.going_blob)
            """
        ).first!
        try refuse(blobs, "blob")
    }

    /// - Parameter row: whether all would go, and by which policies.
    private func refuse(_ row: ResultRow, _ what: String) throws {
        guard row.bool(0), let names = row.text(1) else { return }
        throw RetentionError(
            policies.first { $0.name == names }, "every \(what) would go, by \(names): that is hardly meant")
    }
}

extension RetentionPolicy {
    /// What is said of each thing that goes, behind when it came.
    fileprivate func why(now: Int) -> String {
        var parts: [String] = []
        if let period = keeps.sinceUse { parts.append(", not used for \(period.text)") }
        if let newest = keeps.newest {
            parts.append(", not of the newest \(newest.count) of its \(newest.group.rawValue)")
        }
        if let bytes = keeps.bytes { parts.append(", least recently used beyond \(bytes) bytes") }
        return parts.joined()
    }
}
