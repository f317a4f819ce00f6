import Postgres

/// Which policy decides on each visible entry.
struct EntryDecision {
    private let policies: [RetentionPolicy]
    /// For each policy, the condition for rows of shacache.entry; nil: it is of blobs.
    private let conditions: [SQL?]
    /// Seconds since 1970.
    private let now: Int
    /// Since when each policy keeps what was used, in seconds since 1970.
    private let usedSince: [Int?]

    /// - Throws: `RetentionError` when one names an account or a signer that isn't there.
    init(_ plan: CollectionPlan, usedSince: [Int?]) throws {
        let names = KnownNames(plan.session)
        conditions = try plan.policies.map { policy in
            guard case .entries(let filter) = policy.subject else { return nil }
            return try names.condition(filter, of: policy)
        }
        (policies, now, self.usedSince) = (plan.policies, plan.now, usedSince)
    }

    /// Matches all that a policy of expired entries could; nil: there is no such policy.
    var mayExpire: SQL? {
        let expiring = zip(policies, conditions).compactMap { $0.isOfExpired ? $1 : nil }
        return expiring.isEmpty ? nil : "(\(joined: expiring, by: " OR "))"
    }

    /// The visible entries on which these policies decide, but for those of which their upload alone says that they stay.
    /// Read from nothing but tables that PostgreSQL's parallel workers read too: temporary ones, they can't.
    ///
    /// - Parameters:
    ///   - expired: the entries whose time is over, of those that `mayExpire` matches.
    ///   - isMeant: whether what a policy decides on is asked for.
    ///   - columns: of `entry`.
    func matched(_ expired: EntrySet, by isMeant: (RetentionPolicy) -> Bool, columns: SQL) -> SQL {
        let cases: [SQL] = zip(policies, conditions).enumerated().compactMap { number, each in
            guard let condition = each.1 else { return nil }
            let isExpired: SQL = each.0.isOfExpired ? " AND \(expired.contains)" : ""
            return "WHEN \(condition)\(isExpired) THEN \(number)::integer"
        }
        let policy: SQL = cases.isEmpty ? "NULL::integer" : "CASE \(joined: cases, by: " ") END"
        let numbers = policies.indices.filter { conditions[$0] != nil && isMeant(policies[$0]) }.map { "\($0)" }
        // OFFSET keeps the subqueries apart, so that nothing in them is worked out twice; as a text, which needs no
        // conversion, or they would be none for parallel workers. Of a CASE, PostgreSQL takes it that half of the rows match;
        // of what is in it, that hardly any do, and hashes millions of them in one process.
        return """
            SELECT \(columns) FROM (
                SELECT entry.id, entry.key, entry.sha512, coalesce(entry.renewed_at, entry.created_at) AS created_at,
                    \(policy) AS policy, entry.software_url, entry.multiarch, entry.os
                FROM shacache.entry WHERE entry.withdrawal_id IS NULL OFFSET '0'
            ) AS entry
            WHERE CASE WHEN entry.policy = ANY(\(numbers)::integer[]) THEN entry.created_at < \(latest) ELSE false END OFFSET '0'
            """
    }

    /// Of a row with `policy`: what was put since then stays, whatever else is so.
    private var latest: SQL {
        byPolicy(otherwise: "'infinity'::timestamptz") { policy, used in
            // The others of a group, or of a bound, count too.
            policy.keeps.newest == nil && policy.keeps.bytes == nil ? timeLimit(policy, used) : nil
        }
    }

    /// Of a row with `policy` and `created_at`: whether its upload was too long ago to keep it, also as a use.
    ///
    /// - Parameter isMeant: what other policies decide on is old in any case.
    func isOld(of isMeant: (RetentionPolicy) -> Bool = { _ in true }) -> SQL {
        let limit = byPolicy(otherwise: "'infinity'::timestamptz") { isMeant($0) ? timeLimit($0, $1) : nil }
        return "entry.created_at < \(limit)"
    }

    /// - Returns: nil: a policy doesn't go by time.
    private func timeLimit(_ policy: RetentionPolicy, _ usedSince: Int?) -> SQL? {
        [policy.keeps.sinceUpload.map { now - $0.seconds }, usedSince].compactMap { $0 }.min().map {
            "to_timestamp(\($0))"
        }
    }

    /// Of a row with `policy`: since when a use keeps it; NULL: none does.
    ///
    /// - Parameter isMeant: what other policies decide on, no use keeps.
    func useLimit(of isMeant: (RetentionPolicy) -> Bool = { _ in true }) -> SQL {
        byPolicy(otherwise: "NULL::timestamptz") { isMeant($0) ? $1.map { "to_timestamp(\($0))" } : nil }
    }

    /// The same for a use that is known by the day that ends it.
    func useDayLimit(of isMeant: (RetentionPolicy) -> Bool) -> SQL {
        byPolicy(otherwise: "NULL::date") {
            isMeant($0) ? $1.map { "date '1970-01-01' + \(($0 + Self.day - 1) / Self.day)::integer" } : nil
        }
    }

    private static let day = 86400

    /// Of a row with `policy`: how many of a group its policy keeps; NULL: all.
    var newest: SQL { byPolicy(otherwise: "NULL::bigint") { policy, _ in policy.keeps.newest.map { "\($0.count)" } } }

    private func byPolicy(otherwise: SQL, _ value: (RetentionPolicy, Int?) -> SQL?) -> SQL {
        let cases: [SQL] = zip(policies, usedSince).enumerated().compactMap { number, each in
            value(each.0, each.1).map { "WHEN \(number)::integer THEN \($0)" }
        }
        return cases.isEmpty ? otherwise : "CASE entry.policy \(joined: cases, by: " ") ELSE \(otherwise) END"
    }
}

/// The numbers of accounts and signers, revoked and disabled ones too: what they put is still there.
struct KnownNames {
    let session: Session

    init(_ session: Session) { self.session = session }

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
