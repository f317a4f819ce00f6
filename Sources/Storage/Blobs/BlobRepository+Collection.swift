import Postgres
public import ShaCache

/// The way of a blob that goes, each step by pages of `CollectionPage.size`:
///
///     step       row                                    file                          a crash behind it leaves, until
///     mark       deleting_at is set                     blobs/3f/3f9a…                nothing
///     remove     deleted; one in trash                  blobs/3f/3f9a…                a file without row: moveRemoved
///     move       in trash, moved_at is set              trash/3f9a…, fsync(both)      before COMMIT: moved_at is NULL, move
///     free       none                                   none, fsync(trash)            before COMMIT: a row in trash: free
///     return     visible again; none in trash           blobs/3f/3f9a…, fsync(both)   before COMMIT: a file without row: return
///
/// So the file is never away from where its row has it, whatever is killed: it is moved when the row has gone for good, and
/// back before the row is there again. An upload waits for the blob's lock (an entry for the row's), and is the first to
/// come behind a step: it unmarks a marked blob, and makes a removed one anew, with a file of its own.
///
/// What was fetched and is too much (`FetchedBound`) goes the same way, without waiting on it: from trash with the next run.
extension BlobRepository {
    /// Marks those of `going_blob` that no entry names, and that nothing has touched.
    ///
    /// - Parameter last: a digest in lowercase hex; empty: from the first on.
    func mark(after last: String, _ cutoff: Cutoff, for record: CollectionRecord) throws -> CollectionPage<String> {
        try connection.transaction {
            // What is in use now is left to the next run.
            let page = try connection.run(
                """
                WITH page AS MATERIALIZED (
                    SELECT blob.sha512, going.policy
                    FROM pg_temp.going_blob AS going JOIN shacache.blob ON blob.sha512 = going.sha512
                    WHERE going.sha512 > decode(\(last), 'hex') AND deleting_at IS NULL AND withdrawal_id IS NULL
                        AND last_referenced_at <= \(cutoff.sql)
                    ORDER BY going.sha512 LIMIT \(CollectionPage<String>.size) FOR NO KEY UPDATE OF blob SKIP LOCKED
                )
                SELECT sha512, policy FROM page ORDER BY sha512
                """)
            let marked = try connection.run(
                """
                UPDATE shacache.blob SET deleting_at = now()
                WHERE sha512 = ANY(\(page.digests))
                    AND NOT EXISTS (SELECT FROM shacache.entry WHERE entry.sha512 = blob.sha512)
                RETURNING sha512
                """)
            let digests = Set(marked.digests)
            try record.add(
                page.filter { digests.contains($0.digest(0)!) }.summed(by: 1) { sum, _ in sum.markedBlobs += 1 })
            return CollectionPage(lastOf: page, count: digests.count)
        }
    }

    /// Removes the rows of what was marked for long enough, and takes the mark away from what is not to go any more.
    func removeMarked(
        after last: String, delay: Int, _ cutoff: Cutoff, for record: CollectionRecord, by actor: String
    ) throws -> CollectionPage<String> {
        let page = try connection.run(
            """
            SELECT blob.sha512, going.sha512 IS NOT NULL,
                deleting_at <= now() - make_interval(secs => \(delay))
            FROM shacache.blob LEFT JOIN pg_temp.going_blob AS going ON going.sha512 = blob.sha512
            WHERE deleting_at IS NOT NULL AND blob.sha512 > decode(\(last), 'hex')
            ORDER BY blob.sha512 LIMIT \(CollectionPage<String>.size)
            """)
        try unmark(page.filter { !$0.bool(1) }.digests)
        let removed = try remove(
            page.filter { $0.bool(1) && $0.bool(2) }.digests, cutoff, for: record, by: actor)
        return CollectionPage(lastOf: page, count: removed)
    }

    /// Removes the rows of those of `going_blob` that are marked, whenever that was.
    func removeGoing(after last: String, _ cutoff: Cutoff, for record: CollectionRecord) throws -> CollectionPage<
        String
    > {
        let page = try connection.run(
            """
            SELECT going.sha512
            FROM pg_temp.going_blob AS going JOIN shacache.blob ON blob.sha512 = going.sha512
            WHERE going.sha512 > decode(\(last), 'hex') AND deleting_at IS NOT NULL
            ORDER BY going.sha512 LIMIT \(CollectionPage<String>.size)
            """)
        let removed = try remove(page.digests, cutoff, for: record, by: nil)
        return CollectionPage(lastOf: page, count: removed)
    }

    private func unmark(_ digests: [Digest]) throws {
        guard !digests.isEmpty else { return }
        try connection.run(
            """
            WITH unused AS MATERIALIZED (
                SELECT sha512 FROM shacache.blob WHERE sha512 = ANY(\(digests)) FOR NO KEY UPDATE SKIP LOCKED
            )
            UPDATE shacache.blob SET deleting_at = NULL FROM unused WHERE blob.sha512 = unused.sha512
            """)
    }

    /// - Parameter actor: whom the audit names; nil: it has none of it.
    /// - Returns: how many were removed.
    private func remove(
        _ candidates: [Digest], _ cutoff: Cutoff, for record: CollectionRecord, by actor: String?
    ) throws -> Int {
        guard !candidates.isEmpty else { return 0 }
        return try connection.transaction {
            // Uploads of these wait from here on; behind the rows' locks, so do entries that name them.
            let available = try session.tryLocks(ofBlobs: candidates)
            let locked = try connection.run(
                """
                SELECT sha512 FROM shacache.blob WHERE sha512 = ANY(\(available)) ORDER BY sha512 FOR UPDATE SKIP LOCKED
                """
            ).digests
            // In a statement of its own, which sees all that was committed before it had the locks.
            let removed = try connection.run(
                """
                WITH removed AS (
                    DELETE FROM shacache.blob USING pg_temp.going_blob AS going
                    WHERE blob.sha512 = ANY(\(locked))
                        -- IS TRUE: no plan goes through the index of all that is marked, for each page again.
                        AND going.sha512 = blob.sha512 AND (deleting_at IS NOT NULL) IS TRUE AND withdrawal_id IS NULL
                        AND last_referenced_at <= \(cutoff.sql) AND NOT \(Pins.holdBlob)
                        AND NOT EXISTS (SELECT FROM shacache.entry WHERE entry.sha512 = blob.sha512)
                    RETURNING blob.*, going.policy, going.why
                ), replaced AS MATERIALIZED (
                    -- The file of one that was removed before gives way to this one's, and doesn't count any more.
                    SELECT trash.account_id, trash.size FROM shacache.trash JOIN removed USING (sha512)
                ), given_back AS (\(Self.giveBack("replaced"))), thrown_away AS (
                    INSERT INTO shacache.trash AS known (
                        sha512, size, account_id, upstream_id, created_at, last_referenced_at, is_shared, policy)
                    SELECT sha512, size, account_id, upstream_id, created_at, last_referenced_at, is_shared, policy
                    FROM removed
                    ON CONFLICT (sha512) DO UPDATE SET size = excluded.size, account_id = excluded.account_id,
                        upstream_id = excluded.upstream_id, created_at = excluded.created_at, last_referenced_at = excluded.last_referenced_at,
                        is_shared = excluded.is_shared, policy = excluded.policy, removed_at = now(), moved_at = NULL
                ), audited AS (
                    INSERT INTO shacache.audit (actor, action, subject, detail)
                    SELECT \(actor), 'blob remove', encode(sha512, 'hex'),
                        format('%s bytes, retention policy %s: %s', size, policy, why)
                    FROM removed WHERE \(actor != nil) ORDER BY sha512
                )
                SELECT policy, size FROM removed
                """)
            try record.add(
                removed.summed(by: 0) { sum, row in
                    sum.removedBlobs += 1
                    sum.removedBytes += row.int(1)!
                })
            return removed.count
        }
    }

    /// What accounts have stored less these rows, which have a size each, and an account where one uploaded it.
    private static func giveBack(_ rows: SQL) -> SQL {
        """
        INSERT INTO shacache.account_usage AS usage (account_id, shard, blobs, bytes)
        SELECT account_id, pg_backend_pid() % 16, -count(*), -sum(size)
        FROM \(rows) WHERE account_id IS NOT NULL GROUP BY account_id ORDER BY account_id
        ON CONFLICT (account_id, shard)
        DO UPDATE SET blobs = usage.blobs + excluded.blobs, bytes = usage.bytes + excluded.bytes
        """
    }

    /// Moves the files of removed blobs to trash. Those that were uploaded anew have a new file in their place: the old
    /// one is gone.
    func moveRemoved(after last: String, for record: CollectionRecord) throws -> CollectionPage<String> {
        try connection.transaction {
            let page = try connection.run(
                """
                SELECT sha512 FROM shacache.trash WHERE moved_at IS NULL AND sha512 > decode(\(last), 'hex')
                ORDER BY trash.moved_at, trash.sha512 LIMIT \(CollectionPage<String>.size)
                """)
            let available = try session.tryLocks(ofBlobs: page.digests)
            let found = try connection.run(
                """
                SELECT sha512, EXISTS (SELECT FROM shacache.blob WHERE blob.sha512 = trash.sha512)
                FROM shacache.trash WHERE sha512 = ANY(\(available)) AND moved_at IS NULL ORDER BY sha512 FOR UPDATE
                """)
            let isBack = found.filter { $0.bool(1) }.digests
            let gone = found.filter { !$0.bool(1) }.digests
            // What has its place in trash can be freed, and makes room for more.
            let moved: (count: Int, problem: StoreError?) = gone.isEmpty ? (0, nil) : try files.moveToTrash(gone)
            if moved.count > 0 {
                try connection.run(
                    "UPDATE shacache.trash SET moved_at = now() WHERE sha512 = ANY(\(Array(gone.prefix(moved.count))))")
            }
            try free(isBack, for: record)
            return CollectionPage(lastOf: page, count: moved.count, problem: moved.problem)
        }
    }

    /// Frees the bytes of what was in trash for long enough, and gives them back to their accounts.
    ///
    /// - Parameter which: the condition for rows of trash that are meant.
    func free(
        after position: TrashPosition, olderThan seconds: Int, where which: SQL = "true", for record: CollectionRecord
    ) throws -> CollectionPage<TrashPosition> {
        try connection.transaction {
            let page = try connection.run(
                """
                SELECT sha512, moved_at::text FROM shacache.trash
                WHERE moved_at <= now() - make_interval(secs => \(seconds)) AND \(which)
                    AND (moved_at, sha512) > (\(position.time)::timestamptz, decode(\(position.name), 'hex'))
                -- Without its table, the name would be of the text that is selected.
                ORDER BY trash.moved_at, trash.sha512 LIMIT \(CollectionPage<String>.size)
                """)
            let available = try session.tryLocks(ofBlobs: page.digests)
            let due = try connection.run(
                """
                SELECT sha512 FROM shacache.trash
                WHERE sha512 = ANY(\(available)) AND moved_at IS NOT NULL AND NOT \(Self.isMissed)
                ORDER BY sha512 FOR UPDATE
                """
            ).digests
            try self.free(due, for: record)
            let last = page.count < CollectionPage<String>.size ? nil : Array(page).last
            return CollectionPage(
                last: last.map { TrashPosition(time: $0.text(1)!, name: $0.digest(0)!.description) }, count: due.count)
        }
    }

    /// The condition for rows of trash that a visible entry names, and that have not come again.
    private static let isMissed: SQL =
        """
        (EXISTS (SELECT FROM shacache.entry WHERE entry.sha512 = trash.sha512 AND withdrawal_id IS NULL)
        AND NOT EXISTS (SELECT FROM shacache.blob WHERE blob.sha512 = trash.sha512))
        """

    /// - Parameter digests: of locked rows of trash.
    private func free(_ digests: [Digest], for record: CollectionRecord) throws {
        guard !digests.isEmpty else { return }
        try files.unlinkFromTrash(digests)
        let freed = try connection.run(
            """
            WITH freed AS (
                DELETE FROM shacache.trash WHERE sha512 = ANY(\(digests)) RETURNING *
            ), given_back AS (\(Self.giveBack("freed")))
            SELECT policy, size FROM freed
            """)
        try record.add(
            freed.summed(by: 0) { sum, row in
                sum.freedBlobs += 1
                sum.freedBytes += row.int(1)!
            })
    }

    /// Brings back the blobs in trash that a visible entry names: it came when they were about to go.
    ///
    /// - Parameter which: the condition for rows of trash that are meant.
    func returnNamed(
        after last: String, where which: SQL = "true", by actor: String
    ) throws -> CollectionPage<String> {
        let page = try connection.run(
            """
            SELECT sha512 FROM shacache.trash
            WHERE sha512 > decode(\(last), 'hex') AND \(which) AND \(Self.isMissed)
            ORDER BY sha512 LIMIT \(CollectionPage<String>.size)
            """)
        for digest in page.digests {
            do { try restoreRemoved(digest, by: actor, because: "an entry names it") } catch
                CollectionError.isThere, CollectionError.notInTrash, CollectionError.isDamaged
            {}
        }
        return CollectionPage(lastOf: page, count: page.count)
    }

    /// Makes a blob in trash a blob again.
    ///
    /// - Parameter why: for the audit.
    /// - Throws: `CollectionError.notInTrash`, `.isThere`, or `.isDamaged`.
    public func restoreRemoved(_ digest: Digest, by actor: String, because why: String) throws {
        try connection.transaction {
            try session.lock(.blob(digest))
            guard try state(of: digest) == .absent else { throw CollectionError.isThere(digest) }
            let row = try connection.run(
                "SELECT FROM shacache.trash WHERE sha512 = \(digest.bytes) FOR UPDATE"
            ).first
            guard row != nil else { throw CollectionError.notInTrash(digest) }
            switch try files.restoreFromTrash(digest) {
            case .damaged(let damage): throw CollectionError.isDamaged(digest, damage)
            case .absent where !files.isVisible(digest): throw CollectionError.notInTrash(digest)
            case .absent, .intact, .unconfirmed: break
            }
            try connection.run(
                """
                WITH restored AS (DELETE FROM shacache.trash WHERE sha512 = \(digest.bytes) RETURNING *)
                INSERT INTO shacache.blob (sha512, size, account_id, upstream_id, created_at, is_shared)
                SELECT sha512, size, account_id, upstream_id, created_at, is_shared FROM restored
                """)
            try session.audit.append("blob restore", of: digest.description, by: actor, detail: why)
        }
    }

    /// Reconciles the files in trash that no row of trash has, as after the restore of an older database: with a row of a
    /// blob, one is brought back if it is missed; without, it goes when its time is over.
    func reconcileTrash(olderThan seconds: Int) throws {
        let oldest = try connection.run("SELECT floor(extract(epoch FROM now()))::bigint").first!.int(0)! - seconds
        try forEachUnknownInTrash { digest, since in try reconcileTrashed(digest, isOver: since <= oldest) }
    }

    /// Calls `body` with the files in trash that no row of trash has, and when each came there, in seconds since 1970. It
    /// may move and remove them.
    func forEachUnknownInTrash(_ body: (_ digest: Digest, _ since: Int) throws -> Void) throws {
        try files.forEachInTrash(pageSize: CollectionPage<String>.size) { page in
            let known = Set(
                try connection.run("SELECT sha512 FROM shacache.trash WHERE sha512 = ANY(\(page.map(\.digest)))")
                    .digests)
            for (digest, since) in page where !known.contains(digest) { try body(digest, since) }
        }
    }

    /// Whether a row of trash has it: its file may lie where readers look, until the next step.
    func isRemoved(_ digest: Digest) throws -> Bool {
        try connection.run("SELECT FROM shacache.trash WHERE sha512 = \(digest.bytes)").first != nil
    }

    private func reconcileTrashed(_ digest: Digest, isOver: Bool) throws {
        if try restoreTrashed(digest) { return }
        try connection.transaction {
            try session.lock(.blob(digest))
            let isCopy = files.exists(digest)
            guard try !isRemoved(digest), isCopy || isOver, try isCopy || !isMissed(digest) else { return }
            try files.unlinkFromTrash([digest])
        }
    }

    /// Whether a row, or an entry that came at the last moment, names it.
    private func isMissed(_ digest: Digest) throws -> Bool {
        try connection.run(
            """
            SELECT EXISTS (SELECT FROM shacache.blob WHERE sha512 = \(digest.bytes))
                OR EXISTS (SELECT FROM shacache.entry WHERE sha512 = \(digest.bytes) AND withdrawal_id IS NULL)
            """
        ).first!.bool(0)
    }

    /// Shows the file in trash of a blob whose row is visible, and which has no other.
    ///
    /// - Returns: whether there was one, with the right bytes.
    @discardableResult
    func restoreTrashed(_ digest: Digest) throws -> Bool {
        try connection.transaction {
            try session.lock(.blob(digest))
            guard try state(of: digest) == .visible, !files.isVisible(digest) else { return false }
            return try files.restoreFromTrash(digest) == .intact
        }
    }
}

/// In the order in which trash is freed.
struct TrashPosition {
    var time = "-infinity"
    /// The digest, in lowercase hex.
    var name = ""
}

extension CollectionPage<String> {
    /// - Parameter rows: that begin with a digest, in its order; as many as there are to be in one page, if there
    ///   are more.
    fileprivate init(lastOf rows: Rows, count: Int, problem: StoreError? = nil) {
        let last = rows.count < Self.size ? nil : Array(rows).last!.digest(0)!.description
        self.init(last: last, count: count, problem: problem)
    }
}

extension Sequence<ResultRow> {
    /// Adds up by the policy in a column.
    func summed(
        by column: Int, _ add: (inout CollectionSum, ResultRow) -> Void
    ) -> [String: CollectionSum] {
        reduce(into: [:]) { sums, row in add(&sums[row.text(column)!, default: CollectionSum()], row) }
    }
}
