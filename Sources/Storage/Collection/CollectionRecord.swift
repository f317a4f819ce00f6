import Postgres

/// What a run did by one policy.
struct CollectionSum {
    var hiddenEntries = 0
    var removedEntries = 0
    var markedBlobs = 0
    var removedBlobs = 0
    var removedBytes = 0
    var freedBlobs = 0
    var freedBytes = 0
}

/// The record of the runs, from which reports and metrics are made. Each page adds what it did in its own transaction.
struct CollectionRecord {
    let id: Int
    private let session: Session

    init(beginningIn session: Session, on host: String, by actor: String) throws {
        self.session = session
        id = try session.connection.run(
            "INSERT INTO shacache.collection (host, actor) VALUES (\(host), \(actor)) RETURNING id"
        ).first!.int(0)!
    }

    /// Of what was fetched: one for all runs of a host and day, which come every minute.
    init(goingOnIn session: Session, on host: String, by actor: String) throws {
        self.session = session
        let known = try session.connection.run(
            """
            UPDATE shacache.collection SET finished_at = NULL, problem = NULL
            WHERE id = (
                SELECT id FROM shacache.collection
                WHERE is_of_fetched AND host = \(host) AND started_at >= date_trunc('day', now())
                ORDER BY started_at DESC LIMIT 1)
            RETURNING id
            """
        ).first?.int(0)
        id =
            try known
            ?? session.connection.run(
                "INSERT INTO shacache.collection (host, actor, is_of_fetched) VALUES (\(host), \(actor), true) RETURNING id"
            ).first!.int(0)!
    }

    func add(_ sums: [String: CollectionSum]) throws {
        for (policy, sum) in sums.sorted(by: { $0.key < $1.key }) {
            try session.connection.run(
                """
                INSERT INTO shacache.collection_sum AS known (
                    collection_id, policy, hidden_entries, removed_entries, marked_blobs, removed_blobs, removed_bytes,
                    freed_blobs, freed_bytes)
                VALUES (
                    \(id), \(policy), \(sum.hiddenEntries), \(sum.removedEntries), \(sum.markedBlobs),
                    \(sum.removedBlobs), \(sum.removedBytes), \(sum.freedBlobs), \(sum.freedBytes))
                ON CONFLICT (collection_id, policy) DO UPDATE SET
                    hidden_entries = known.hidden_entries + excluded.hidden_entries,
                    removed_entries = known.removed_entries + excluded.removed_entries,
                    marked_blobs = known.marked_blobs + excluded.marked_blobs,
                    removed_blobs = known.removed_blobs + excluded.removed_blobs,
                    removed_bytes = known.removed_bytes + excluded.removed_bytes,
                    freed_blobs = known.freed_blobs + excluded.freed_blobs,
                    freed_bytes = known.freed_bytes + excluded.freed_bytes
                """)
        }
    }

    /// Locks the withdrawals by which the run hides entries, in the order in which those lock them that show entries again.
    func lockWithdrawals() throws {
        try session.connection.run(
            """
            SELECT FROM shacache.withdrawal
            WHERE id IN (SELECT withdrawal_id FROM shacache.collection_sum WHERE collection_id = \(id))
            ORDER BY id FOR UPDATE
            """)
    }

    /// The number under which the run hides entries by a policy. Its time is that of the last it hid, since the grace
    /// time counts from it. Once all it hid was uploaded again, there is another one.
    func withdrawal(of policy: String, by actor: String) throws -> Int {
        let current = try session.connection.run(
            """
            UPDATE shacache.withdrawal SET at = now()
            WHERE lifted_at IS NULL AND id = (
                SELECT withdrawal_id FROM shacache.collection_sum WHERE collection_id = \(id) AND policy = \(policy))
            RETURNING id
            """
        ).first?.int(0)
        if let current {
            try Withdrawals(session).noteState(of: current)
            return current
        }
        let number = try session.connection.run(
            """
            INSERT INTO shacache.withdrawal (actor, target, subject, reason, is_operators, is_retention, policy)
            VALUES (\(actor), 'entries', '', left('retention policy ' || \(policy), 500), false, true, \(policy))
            RETURNING id
            """
        ).first!.int(0)!
        try session.connection.run(
            """
            INSERT INTO shacache.collection_sum (collection_id, policy, withdrawal_id) VALUES (\(id), \(policy), \(number))
            ON CONFLICT (collection_id, policy) DO UPDATE SET withdrawal_id = excluded.withdrawal_id
            """)
        try Withdrawals(session).noteState(of: number)
        return number
    }

    /// - Parameter problem: nil when it was through.
    func finishRunOfFetched(problem: String?) throws {
        try session.connection.run(
            "UPDATE shacache.collection SET finished_at = clock_timestamp(), problem = \(problem) WHERE id = \(id)")
    }

    /// The bytes that were removed by a policy, and those that were freed.
    func bytes(by policy: String) throws -> (removed: Int, freed: Int) {
        let row = try session.connection.run(
            """
            SELECT removed_bytes, freed_bytes FROM shacache.collection_sum
            WHERE collection_id = \(id) AND policy = \(policy)
            """
        ).first
        return (row?.int(0) ?? 0, row?.int(1) ?? 0)
    }

    /// - Parameter problem: nil when it was through.
    func finish(problem: String?) throws {
        try session.connection.run(
            """
            UPDATE shacache.collection
            SET finished_at = clock_timestamp(), problem = \(problem), hidden_entries = hidden.entries,
                hidden_blobs = hidden.blobs, hidden_bytes = hidden.bytes, trash_blobs = trash.blobs,
                trash_bytes = trash.bytes
            FROM (
                WITH hidden AS MATERIALIZED (
                    SELECT sha512 FROM shacache.withdrawal JOIN shacache.entry ON withdrawal_id = withdrawal.id
                    WHERE is_retention AND lifted_at IS NULL AND removed_at IS NULL
                ), hidden_blob AS (
                    SELECT size FROM shacache.blob
                    WHERE sha512 IN (SELECT sha512 FROM hidden) AND NOT EXISTS (
                        SELECT FROM shacache.entry WHERE entry.sha512 = blob.sha512 AND withdrawal_id IS NULL)
                )
                SELECT (SELECT count(*) FROM hidden) AS entries, count(*) AS blobs, coalesce(sum(size), 0) AS bytes FROM hidden_blob
            ) AS hidden, (SELECT count(*) AS blobs, coalesce(sum(size), 0) AS bytes FROM shacache.trash) AS trash
            WHERE id = \(id)
            """)
    }

    /// What it did, for people and scripts.
    func table() throws -> Table {
        Table(
            try session.connection.run(
                """
                SELECT policy, hidden_entries, removed_entries, marked_blobs, removed_blobs, removed_bytes, freed_blobs,
                    freed_bytes
                FROM shacache.collection_sum WHERE collection_id = \(id) ORDER BY policy
                """))
    }

    /// Who has the lock that a collection needs.
    static func holder(_ session: Session) throws -> String {
        let row = try session.connection.run(
            """
            SELECT pid, activity.usename,
                (SELECT format('a collection by %s on %s, since %s', actor, host, date_trunc('second', started_at))
                FROM shacache.collection WHERE finished_at IS NULL AND activity.usename = 'shacache_collector'
                ORDER BY id DESC LIMIT 1)
            FROM pg_locks JOIN pg_stat_activity AS activity USING (pid)
            WHERE locktype = 'advisory' AND classid = 8 AND objid = 0 AND objsubid = 2 AND granted
                AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
            """
        ).first
        guard let row else { return "another collection, or a backup, was at work just now" }
        let what = row.text(2) ?? "something that keeps blobs from being removed, as a backup does, as \(row.text(1)!)"
        return "there is \(what) (PostgreSQL's process \(row.int(0)!))"
    }
}

/// What collections have done, for the metrics.
public struct CollectionFigures: Sendable {
    /// What was so when the last run ended; nil when none has.
    public let last: (hiddenEntries: Int, hiddenBytes: Int, trashBlobs: Int, trashBytes: Int)?
    public let hiddenEntries: Int
    public let removedEntries: Int
    public let removedBlobs: Int
    public let removedBytes: Int
    public let freedBlobs: Int
    public let freedBytes: Int

    public init(asking session: Session) throws {
        let (last, sums) = try session.reading {
            (
                try session.connection.run(
                    """
                    SELECT hidden_entries, hidden_bytes, trash_blobs, trash_bytes FROM shacache.collection
                    WHERE hidden_entries IS NOT NULL ORDER BY id DESC LIMIT 1
                    """
                ).first,
                try session.connection.run(
                    """
                    SELECT coalesce(sum(hidden_entries), 0)::bigint, coalesce(sum(removed_entries), 0)::bigint,
                        coalesce(sum(removed_blobs), 0)::bigint, coalesce(sum(removed_bytes), 0)::bigint,
                        coalesce(sum(freed_blobs), 0)::bigint, coalesce(sum(freed_bytes), 0)::bigint
                    FROM shacache.collection_sum
                    """
                ).first!
            )
        }
        self.last = last.map { ($0.int(0)!, $0.int(1)!, $0.int(2)!, $0.int(3)!) }
        (hiddenEntries, removedEntries) = (sums.int(0)!, sums.int(1)!)
        (removedBlobs, removedBytes) = (sums.int(2)!, sums.int(3)!)
        (freedBlobs, freedBytes) = (sums.int(4)!, sums.int(5)!)
    }
}

/// The runs, for an operator.
public struct Collections {
    let session: Session

    public init(_ session: Session) { self.session = session }

    /// The last runs, the newest first.
    public func table(last count: Int) throws -> Table {
        Table(
            try session.connection.run(
                """
                SELECT id AS number, date_trunc('second', started_at) AS started_at,
                    date_trunc('second', finished_at) AS finished_at, host, actor, hidden_entries, hidden_bytes, trash_blobs,
                    trash_bytes, problem
                FROM shacache.collection ORDER BY id DESC LIMIT \(count)
                """))
    }

    /// The policies that hide entries, and are not configured any more: what they hid is neither shown nor removed.
    public func abandonedPolicies(besides configured: [String]) throws -> [String] {
        try session.connection.run(
            """
            SELECT DISTINCT policy FROM shacache.withdrawal
            WHERE is_retention AND lifted_at IS NULL AND removed_at IS NULL AND policy <> ALL (\(configured)::text[])
                AND EXISTS (SELECT FROM shacache.entry WHERE withdrawal_id = withdrawal.id)
            ORDER BY policy
            """
        ).map { $0.text(0)! }
    }
}
