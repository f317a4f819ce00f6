import Postgres
public import ShaCache

/// Trash: where the files of removed blobs wait for their end, each with a row of shacache.trash. Three of the steps that
/// `BlobRepository+Collection` lists are here: move, free and return.
extension BlobRepository {
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
