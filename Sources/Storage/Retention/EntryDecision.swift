import Postgres

/// Which policy decides on each visible entry.
struct EntryDecision {
    /// A subquery, to be read as `entry`: shacache.entry's id, key, sha512, created_at, software_url, multiarch and os;
    /// `policy`, the number of the first that matches, or NULL; `expired_at`; `is_pinned`.
    let entries: SQL
    /// Matches all that a policy of expired entries could.
    let mayExpire: SQL?

    /// - Throws: `RetentionError` when one names an account or a signer that isn't there.
    init(_ plan: CollectionPlan) throws {
        let names = try KnownNames(plan.session)
        var cases: [SQL] = []
        var expiring: [SQL] = []
        for (number, policy) in plan.policies.enumerated() {
            switch policy.subject {
            case .unnamedBlobs(let account): _ = try account.map { try names.account($0, of: policy) }
            case .entries(let filter):
                let condition = try names.condition(filter, of: policy)
                if filter.isExpired { expiring.append(condition) }
                let expired: SQL = filter.isExpired ? " AND expired.at IS NOT NULL" : ""
                cases.append("WHEN \(condition)\(expired) THEN \(number)::integer")
            }
        }
        let policy: SQL = cases.isEmpty ? "NULL::integer" : "CASE \(joined: cases, by: " ") END"
        let expired: SQL =
            expiring.isEmpty
            ? "(SELECT NULL::timestamptz AS at) AS expired ON true"
            : "pg_temp.expired_entry AS expired ON expired.entry_id = entry.id"
        entries = """
            (
                SELECT entry.id, entry.key, entry.sha512, entry.created_at, entry.software_url, entry.multiarch, entry.os,
                    \(policy) AS policy, expired.at AS expired_at,
                    \(Pins.holdEntry) AS is_pinned
                FROM shacache.entry LEFT JOIN \(expired)
                WHERE entry.withdrawal_id IS NULL
            ) AS entry
            """
        mayExpire = expiring.isEmpty ? nil : "(\(joined: expiring, by: " OR "))"
    }
}

/// The numbers of accounts and signers, revoked and disabled ones too: what they put is still there.
struct KnownNames {
    let session: Session

    init(_ session: Session) throws { self.session = session }

    /// Of a row of shacache.entry.
    fileprivate func condition(_ filter: RetentionPolicy.EntryFilter, of policy: RetentionPolicy) throws -> SQL {
        var parts: [SQL] = []
        if let prefix = filter.keyPrefix { parts.append("starts_with(entry.key, \(prefix))") }
        if let name = filter.account { parts.append("entry.account_id = \(try account(name, of: policy))::bigint") }
        if let name = filter.signer { parts.append("entry.signer_id = \(try signer(name, of: policy))::bigint") }
        if let kind = filter.kind { parts.append(SQL(stringLiteral: kind.condition)) }
        return parts.isEmpty ? "true" : "\(joined: parts, by: " AND ")"
    }

    func account(_ name: String, of policy: RetentionPolicy) throws -> Int {
        try number("SELECT id FROM shacache.account WHERE name = \(name)", "account \(name)", policy)
    }

    private func signer(_ name: String, of policy: RetentionPolicy) throws -> Int {
        try number("SELECT id FROM shacache.signer WHERE name = \(name)", "signer \(name)", policy)
    }

    private func number(_ query: SQL, _ what: String, _ policy: RetentionPolicy) throws -> Int {
        guard let number = try session.connection.run(query).first?.int(0) else {
            throw RetentionError(policy, "there is no \(what)")
        }
        return number
    }
}

extension SQL.StringInterpolation {
    /// - Parameter separator: between the parts.
    mutating func appendInterpolation(joined parts: [SQL], by separator: String) {
        for (index, part) in parts.enumerated() {
            if index > 0 { appendLiteral(separator) }
            appendInterpolation(part)
        }
    }
}
