import Postgres

/// The accounts that may upload, as operators keep them.
public struct Accounts {
    let session: Session

    public init(_ session: Session) { self.session = session }

    /// - Parameter alter: sets what differs from the defaults.
    public func add(
        _ name: String, comment: String, by actor: String, alter: (inout Account) -> Void = { _ in }
    ) throws {
        try session.audit.transaction(changing: name) { try insert(name, comment: comment, by: actor, alter: alter) }
    }

    /// In a transaction that does more.
    func insert(_ name: String, comment: String, by actor: String, alter: (inout Account) -> Void) throws {
        let made = try session.connection.run(
            "INSERT INTO shacache.account (name, comment) VALUES (\(name), \(comment)) RETURNING to_json(account)")
        let changes = try save(try made.first!.account(0), alter)
        let detail = ([comment] + changes).filter { !$0.isEmpty }.joined(separator: "; ")
        try session.audit.append("account add", of: name, by: actor, detail: detail)
    }

    /// Takes effect on the account's next request. What it has stored stays, also beyond a new limit.
    ///
    /// - Returns: the changed settings, as the audit log has them.
    @discardableResult
    public func set(_ name: String, by actor: String, _ alter: (inout Account) -> Void) throws -> [String] {
        try session.audit.transaction(changing: name) {
            let found = try session.connection.run(
                "SELECT to_json(account) FROM shacache.account WHERE name = \(name) FOR UPDATE")
            guard let row = found.first else { throw AdministrationError.unknown("account", name) }
            let changes = try save(try row.account(0), alter)
            try session.audit.append("account set", of: name, by: actor, detail: changes.joined(separator: "; "))
            return changes
        }
    }

    private func save(_ account: Account, _ alter: (inout Account) -> Void) throws -> [String] {
        var new = account
        alter(&new)
        try session.connection.run(
            """
            UPDATE shacache.account
            SET roles = \(new.roleNames), key_prefixes = \(new.keyPrefixes),
                bytes_limit = \(new.limits[.bytes]), blobs_limit = \(new.limits[.blobs]),
                blob_size_limit = \(new.limits[.blobSize]),
                entries_per_day_limit = \(new.limits[.entriesPerDay]),
                entries_per_key_limit = \(new.limits[.entriesPerKey])
            WHERE id = \(account.id)
            """)
        return zip(account.settings, new.settings).filter { $0 != $1 }.map { "\($0.name) \($0.value) → \($1.value)" }
    }

    /// Takes effect on the account's next request.
    public func setEnabled(_ enabled: Bool, _ name: String, by actor: String) throws {
        try session.audit.change(enabled ? "account enable" : "account disable", of: name, by: actor) {
            let rows = try session.connection.run(
                """
                UPDATE shacache.account
                SET disabled_at = CASE WHEN \(enabled) THEN NULL ELSE coalesce(disabled_at, now()) END
                WHERE name = \(name) RETURNING id
                """)
            guard rows.count == 1 else { throw AdministrationError.unknown("account", name) }
        }
    }

    /// Roles, key prefixes, limits and usage of accounts.
    ///
    /// - Parameter name: nil lists all.
    public func table(named name: String? = nil) throws -> Table {
        Table(
            try session.connection.run(
                """
                SELECT name, CASE WHEN disabled_at IS NULL THEN 'enabled' ELSE 'disabled' END AS state,
                    array_to_string(roles, ',') AS roles, array_to_string(key_prefixes, ' ') AS key_prefixes,
                    usage.blobs, blobs_limit, usage.bytes, bytes_limit, blob_size_limit,
                    \(AccountQuotas.entriesToday) AS entries_today,
                    entries_per_day_limit, entries_per_key_limit,
                    (SELECT count(*) FROM shacache.certificate
                        WHERE account_id = account.id AND revoked_at IS NULL AND not_after > now()) AS valid_certificates,
                    date_trunc('second', created_at) AS created_at, comment
                FROM shacache.account
                CROSS JOIN LATERAL \(AccountQuotas.usage) AS usage
                WHERE name = coalesce(\(name), name) ORDER BY name
                """))
    }

    /// - Throws: `AdministrationError.unknown`.
    func id(of name: String) throws -> AccountID {
        guard let row = try session.connection.run("SELECT id FROM shacache.account WHERE name = \(name)").first else {
            throw AdministrationError.unknown("account", name)
        }
        return row.int(0)!
    }
}

extension Account {
    fileprivate var roleNames: [String] { Role.allCases.filter(roles.contains).map(\.rawValue) }

    /// The settings that an operator can change, in words.
    fileprivate var settings: [(name: String, value: String)] {
        let lists = [("roles", roleNames), ("key prefixes", keyPrefixes ?? [])]
        return lists.map { ($0, $1.isEmpty ? "none" : $1.joined(separator: " ")) }
            + AccountLimit.allCases.map { limit in
                (limit.name, limits[limit].map { "\($0)" } ?? "none")
            }
    }
}
