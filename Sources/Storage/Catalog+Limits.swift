import Postgres
public import ShaCache

extension Catalog {
    /// Whether an account may store one more blob, before its bytes come. The transaction that stores it asks again.
    ///
    /// - Parameter digest: the blob's, where the request names it: what we have already costs nothing.
    /// - Parameter size: in bytes; nil when the request doesn't say.
    /// - Throws: `Refusal.accountLimit`, `.withdrawn`, or `.sizeMismatch`: what isn't that blob is not to be received.
    public func admit(_ digest: Digest?, size: Int?, of account: Account) throws {
        try reading {
            if let digest, let (_, stored) = try find(digest, for: account) {
                guard let size, size != stored else { return }
                throw Refusal.sizeMismatch(digest, stored: stored, announced: size)
            }
            try checkUsage(of: account, adding: size ?? 0)
        }
    }

    /// For good, in the transaction that stores the blob. Uploads of an account with a quota are done one after the
    /// other from here on: each counts what those before it have stored. An account without one waits for nobody.
    func checkQuota(of account: Account?, adding size: Int) throws {
        guard let account, account.hasQuota else { return }
        try lock(account)
        try checkUsage(of: account, adding: size)
    }

    private func checkUsage(of account: Account, adding size: Int) throws {
        guard account.hasQuota else { return }
        let used = try connection.run(
            """
            SELECT usage.blobs, usage.bytes
            FROM shacache.account CROSS JOIN LATERAL \(Self.usage) AS usage WHERE id = \(account.id)
            """
        ).first!
        try account.check(.blobs, used: used.int(0)!, adding: 1)
        try account.check(.bytes, used: used.int(1)!, adding: size)
    }

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

    /// Withdrawn entries count as well: a day's work is not undone by hiding it.
    func checkDay(of account: Account?) throws {
        guard let account, account.limits[.entriesPerDay] != nil else { return }
        try lock(account)
        let used = try connection.run(
            "SELECT \(Self.entriesToday) FROM shacache.account WHERE id = \(account.id)"
        ).first!
        try account.check(.entriesPerDay, used: used.int(0)!, adding: 1)
    }

    /// Behind the lock of a blob or a key, never before it. Two numbers, so that it is none of theirs.
    private func lock(_ account: Account) throws {
        try connection.run("SELECT pg_advisory_xact_lock(1, \(account.id))")
    }
}

extension Account {
    fileprivate var hasQuota: Bool { limits[.bytes] != nil || limits[.blobs] != nil }

    /// - Throws: `Refusal.accountLimit`.
    public func check(_ limit: Limit, used: Int, adding: Int) throws(Refusal) {
        // Not the sum of what clients say: it could overflow.
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

extension Account.Limit {
    /// For people.
    var name: String { rawValue.replacing("_", with: " ") }
}
