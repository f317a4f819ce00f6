import Postgres
import ShaCache

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
    static func giveBack(_ rows: SQL) -> SQL {
        """
        INSERT INTO shacache.account_usage AS usage (account_id, shard, blobs, bytes)
        SELECT account_id, pg_backend_pid() % 16, -count(*), -sum(size)
        FROM \(rows) WHERE account_id IS NOT NULL GROUP BY account_id ORDER BY account_id
        ON CONFLICT (account_id, shard)
        DO UPDATE SET blobs = usage.blobs + excluded.blobs, bytes = usage.bytes + excluded.bytes
        """
    }
}

extension CollectionPage<String> {
    /// - Parameter rows: that begin with a digest, in its order; as many as there are to be in one page, if there
    ///   are more.
    init(lastOf rows: Rows, count: Int, problem: StoreError? = nil) {
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
