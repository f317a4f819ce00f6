import Postgres
public import ShaCache

extension Entries {
    /// Hides those of `going_entry` that nobody has put since the plan. Uploads under their keys wait meanwhile.
    ///
    /// - Parameter last: its number; 0: from the first on.
    func hideGoing(
        after last: Int, _ cutoff: Cutoff, for record: CollectionRecord, by actor: String
    ) throws -> CollectionPage<Int> {
        try session.journaling(in: files) {
            let page = try connection.run(
                """
                SELECT entry.id, going.policy, entry.key
                FROM pg_temp.going_entry AS going JOIN shacache.entry ON entry.id = going.entry_id
                WHERE going.entry_id > \(last) AND withdrawal_id IS NULL
                ORDER BY going.entry_id LIMIT \(CollectionPage<Int>.size)
                """)
            let locked = try session.tryLocks(ofKeys: Array(Set(page.map { $0.text(2)! })))
            try record.lockWithdrawals()
            // Behind these locks. Who withdraws by number holds entries without their keys' locks, and waits for others.
            let going = try connection.run(
                """
                SELECT id, going.policy
                FROM shacache.entry JOIN pg_temp.going_entry AS going ON going.entry_id = entry.id
                WHERE id = ANY(\(page.map { $0.text(0)! })::bigint[]) AND key = ANY(\(locked)::text[])
                    AND withdrawal_id IS NULL AND coalesce(renewed_at, created_at) <= \(cutoff.sql) AND NOT \(Pins.holdEntry)
                    AND NOT EXISTS (
                        SELECT FROM shacache.upload
                        WHERE upload.at > \(cutoff.sql) AND upload.sha512 = entry.sha512 AND \(Self.isPutAgain))
                FOR NO KEY UPDATE OF entry SKIP LOCKED
                """)
            let sums = going.summed(by: 1) { sum, _ in sum.hiddenEntries += 1 }
            for policy in sums.keys.sorted() {
                let number = try record.withdrawal(of: policy, by: actor)
                let entries = going.filter { $0.text(1)! == policy }.map { $0.text(0)! }
                try hideByPolicy(entries, number, actor)
            }
            try record.add(sums)
            return CollectionPage(
                last: page.count < CollectionPage<Int>.size ? nil : Array(page).last!.int(0)!, count: going.count)
        }
    }

    /// The condition for rows of `upload` and `entry` with the same blob: the one is of the other's, put again.
    static let isPutAgain: SQL = """
        duplicate AND upload.target = 'entry'
        AND shacache.key_without_credentials(upload.key) = shacache.key_without_credentials(entry.key)
        """

    /// - Parameter entries: the numbers of those that are locked.
    private func hideByPolicy(_ entries: [String], _ number: Withdrawal.Number, _ actor: String) throws {
        let hidden = try connection.run(
            """
            WITH hidden AS (
                UPDATE shacache.entry SET withdrawal_id = \(number)
                FROM pg_temp.going_entry AS going
                WHERE entry.id = ANY(\(entries)::bigint[]) AND going.entry_id = entry.id
                RETURNING entry.id, key, policy, why
            ), audited AS (
                INSERT INTO shacache.audit (actor, action, subject, detail)
                SELECT \(actor), 'entry hide', key,
                    format('entry %s, withdrawal %s, retention policy %s: %s', id, \(number)::bigint, policy, why)
                FROM hidden ORDER BY id
            )
            SELECT id FROM hidden ORDER BY id
            """)
        var records = JournalRecords()
        records.add(.hidden, withdrawal: number, entries: hidden.map { $0.int(0)! })
        session.note(records)
    }

    /// The withdrawals of policies whose grace time is over.
    ///
    /// - Parameter seconds: of the grace time.
    func retentionWithdrawals(of policies: [String], olderThan seconds: Int) throws -> [RetentionWithdrawal] {
        try connection.run(
            """
            SELECT id, policy FROM shacache.withdrawal
            WHERE is_retention AND lifted_at IS NULL AND removed_at IS NULL AND policy = ANY(\(policies)::text[])
                AND at <= now() - make_interval(secs => \(seconds))
            ORDER BY id
            """
        ).map { RetentionWithdrawal(number: $0.int(0)!, policy: $0.text(1)!, grace: seconds) }
    }

    /// Deletes entries that retention has hidden, and notes of which blobs none is left.
    func deleteHidden(
        by withdrawal: RetentionWithdrawal, after last: Int, for record: CollectionRecord, by actor: String
    ) throws -> CollectionPage<Int> {
        try session.journaling(in: files) {
            let page = try connection.run(
                """
                SELECT id, key FROM shacache.entry WHERE withdrawal_id = \(withdrawal.number) AND id > \(last)
                ORDER BY id LIMIT \(CollectionPage<Int>.size)
                """)
            let locked = try session.tryLocks(ofKeys: Array(Set(page.map { $0.text(1)! })))
            // It may have been lifted meanwhile; from here on, who lifts it waits.
            let isDue =
                try connection.run(
                    """
                    SELECT FROM shacache.withdrawal
                    WHERE id = \(withdrawal.number) AND lifted_at IS NULL
                        AND at <= now() - make_interval(secs => \(withdrawal.grace)) FOR UPDATE
                    """
                ).first != nil
            guard isDue else { return CollectionPage(last: nil, count: 0) }
            let deleted = try delete(page.map { $0.text(0)! }, withdrawal, under: locked, by: actor)
            try noteLeft(deleted, by: withdrawal.policy)
            let isLast = page.count < CollectionPage<Int>.size
            if isLast { try close(withdrawal) }
            try record.add([withdrawal.policy: CollectionSum(removedEntries: deleted.count)])
            return CollectionPage(last: isLast ? nil : Array(page).last!.int(0)!, count: deleted.count)
        }
    }

    /// - Returns: the digests of the blobs that they named; one for each.
    private func delete(
        _ entries: [String], _ withdrawal: RetentionWithdrawal, under keys: [String], by actor: String
    ) throws -> [Digest] {
        // In their order, as a recount locks them. Uploads don't: they have the keys' locks.
        try connection.run(
            "SELECT FROM shacache.key_count WHERE key = ANY(\(keys)::text[]) ORDER BY key FOR NO KEY UPDATE")
        let deleted = try connection.run(
            """
            WITH deleted AS (
                DELETE FROM shacache.entry
                WHERE id = ANY(\(entries)::bigint[]) AND key = ANY(\(keys)::text[])
                    AND withdrawal_id = \(withdrawal.number) AND NOT \(Pins.holdEntry)
                RETURNING *
            ), forgotten AS (
                DELETE FROM shacache.entry_before_blob AS noted USING deleted
                WHERE noted.created_at = deleted.created_at AND noted.entry_id = deleted.id
            ), counted AS (
                UPDATE shacache.key_count AS known SET entries = known.entries - gone.entries
                FROM (SELECT key, count(*) AS entries FROM deleted GROUP BY key) AS gone WHERE known.key = gone.key
            ), audited AS (
                INSERT INTO shacache.audit (actor, action, subject, detail)
                SELECT \(actor), 'entry remove', key,
                    format('entry %s, which named %s, retention policy %s', id, encode(sha512, 'hex'),
                        \(withdrawal.policy)::text)
                FROM deleted ORDER BY id
            )
            SELECT sha512, id FROM deleted ORDER BY id
            """)
        var records = JournalRecords()
        records.add(removed: deleted.map { $0.int(1)! })
        session.note(records)
        try connection.run("DELETE FROM shacache.key_count WHERE key = ANY(\(keys)::text[]) AND entries = 0")
        return deleted.digests
    }

    /// Behind the deletion, which this statement sees. In the order of their rows, as uploads lock them.
    private func noteLeft(_ digests: [Digest], by policy: String) throws {
        try connection.run(
            """
            WITH unnamed AS MATERIALIZED (
                SELECT sha512 FROM shacache.blob
                WHERE sha512 = ANY(\(digests))
                    AND NOT EXISTS (SELECT FROM shacache.entry WHERE entry.sha512 = blob.sha512)
                ORDER BY sha512 FOR NO KEY UPDATE
            )
            UPDATE shacache.blob SET left_by = \(policy) FROM unnamed WHERE blob.sha512 = unnamed.sha512
            """)
    }

    /// Unless keys that were in use have kept something for the next run.
    private func close(_ withdrawal: RetentionWithdrawal) throws {
        try connection.run(
            """
            UPDATE shacache.withdrawal SET removed_at = now()
            WHERE id = \(withdrawal.number)
                AND NOT EXISTS (SELECT FROM shacache.entry WHERE withdrawal_id = \(withdrawal.number))
            """)
        try Withdrawals(session).noteState(of: withdrawal.number)
    }
}

/// One by which a retention policy hides entries.
struct RetentionWithdrawal {
    let number: Withdrawal.Number
    let policy: String
    /// In seconds.
    let grace: Int
}

/// Bringing back what retention has hidden, within the grace time.
extension Entries {
    /// - Returns: how many are visible again.
    /// - Throws: `CollectionError.nothingHidden`.
    public func restoreRetained(under key: Key, by actor: String) throws -> Int {
        try restoreRetained("the key \(key.text)", by: actor) {
            try session.lock(.key(key))
            return "key = \(key.text)"
        }
    }

    public func restoreRetained(_ entry: Int, by actor: String) throws -> Int {
        try restoreRetained("the entry \(entry)", by: actor) { "entry.id = \(entry)" }
    }

    /// A withdrawal of a policy after the other.
    public func restoreRetained(by policy: String, by actor: String) throws -> Int {
        let numbers = try connection.run(
            """
            SELECT id FROM shacache.withdrawal
            WHERE is_retention AND lifted_at IS NULL AND removed_at IS NULL AND policy = \(policy) ORDER BY id
            """
        ).map { $0.int(0)! }
        let restored = try numbers.map { try Withdrawals(session).clear($0, by: actor, in: files) }.reduce(0, +)
        guard restored > 0 else { throw CollectionError.nothingHidden("anything of the policy \(policy)") }
        return restored
    }

    private func restoreRetained(_ what: String, by actor: String, which: () throws -> SQL) throws -> Int {
        try session.journaling(in: files) {
            let condition = try which()
            // The withdrawals' rows first, as lifting locks them.
            let numbers = try connection.run(
                """
                SELECT id FROM shacache.withdrawal WHERE is_retention AND id IN (
                    SELECT withdrawal_id FROM shacache.entry JOIN shacache.withdrawal ON withdrawal.id = withdrawal_id
                    WHERE \(condition))
                ORDER BY id FOR UPDATE
                """
            ).map { $0.int(0)! }
            let restored = try numbers.map { number in
                try Withdrawals(session).showRetained(number, where: condition, by: actor)
            }.reduce(0, +)
            guard restored > 0 else { throw CollectionError.nothingHidden(what) }
            return restored
        }
    }
}
