import Postgres

/// Which policy decides on each visible entry.
struct EntryDecision {
    /// Of a row of shacache.entry and of `expired`: the number of the first policy that matches, or NULL.
    private let policy: SQL
    /// Matches all that a policy of expired entries could; nil: there is no such policy.
    let mayExpire: SQL?
    private let policies: [RetentionPolicy]

    /// - Throws: `RetentionError` when one names an account or a signer that isn't there.
    init(_ plan: CollectionPlan) throws {
        let names = KnownNames(plan.session)
        var cases: [SQL] = []
        var expiring: [SQL] = []
        for (number, policy) in plan.policies.enumerated() {
            switch policy.subject {
            case .unnamedBlobs(let account): _ = try account.map { try names.account($0, of: policy) }
            case .entries(let filter):
                let condition = try names.condition(filter, of: policy)
                if filter.isExpired { expiring.append(condition) }
                let isExpired: SQL = filter.isExpired ? " AND expired.at IS NOT NULL" : ""
                cases.append("WHEN \(condition)\(isExpired) THEN \(number)::integer")
            }
        }
        policy = cases.isEmpty ? "NULL::integer" : "CASE \(joined: cases, by: " ") END"
        mayExpire = expiring.isEmpty ? nil : "(\(joined: expiring, by: " OR "))"
        policies = plan.policies
    }

    /// The visible entries on which a policy decides, but for those of which their upload alone says that they stay. What no
    /// policy needs of them is left out, since there may be very many.
    ///
    /// - Parameter used: since when each policy keeps what was used, in seconds since 1970.
    func matched(now: Int, usedSince used: [Int?]) -> SQL {
        let expired: SQL =
            mayExpire == nil
            ? "(SELECT NULL::timestamptz AS at) AS expired ON true"
            : "pg_temp.expired_entry AS expired ON expired.entry_id = entry.id"
        let keys = policies.contains { $0.keeps.needUse || $0.keeps.newest?.group == .key }
        let releases = policies.contains { $0.keeps.newest?.group == .softwareRelease }
        // Sorted by bytes: any other collation takes several times as long.
        let release: SQL =
            releases
            ? """
            entry.software_url COLLATE "C" AS software_url, entry.multiarch COLLATE "C" AS multiarch,
            entry.os::text COLLATE "C" AS os
            """ : "NULL::text AS software_url, NULL::text AS multiarch, NULL::text AS os"
        return """
            SELECT * FROM (
                SELECT entry.id, entry.sha512, coalesce(entry.renewed_at, entry.created_at) AS created_at,
                    \(policy) AS policy, expired.at AS expired_at,
                    \(keys ? "entry.key" : "NULL::text AS key" as SQL), \(release),
                    \(Pins.holdEntry) AS is_pinned
                FROM shacache.entry LEFT JOIN \(expired)
                WHERE entry.withdrawal_id IS NULL
            ) AS entry
            WHERE entry.policy IS NOT NULL AND entry.created_at < \(latest(now: now, usedSince: used))
            """
    }

    /// Of a row with `policy`: what was put since then stays, whatever else is so.
    private func latest(now: Int, usedSince used: [Int?]) -> SQL {
        let cases: [SQL] = zip(policies, used).enumerated().compactMap { number, each in
            let (keeps, used) = (each.0.keeps, each.1)
            // The others of a group, or of a bound, count too.
            guard keeps.newest == nil, keeps.bytes == nil else { return nil }
            let since = [keeps.sinceUpload.map { now - $0.seconds }, used].compactMap { $0 }.min()
            return since.map { "WHEN \(number)::integer THEN to_timestamp(\($0))" }
        }
        return cases.isEmpty
            ? "'infinity'::timestamptz" : "CASE entry.policy \(joined: cases, by: " ") ELSE 'infinity'::timestamptz END"
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
