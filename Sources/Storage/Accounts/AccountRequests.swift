public import OpenSSL
import Postgres
public import ShaCache

/// Requests for accounts, by those who have none: they wait until an operator decides, and what was decided waits for who
/// asked. A request is known by the SHA-256 of its public key.
public struct AccountRequests {
    let session: Session

    public init(_ session: Session) { self.session = session }

    /// How many requests are taken.
    public struct Limits: Sendable {
        /// That wait, in all.
        public let waiting: Int
        /// Of one address (of IPv6: one network of 64 bits): that wait, or came within the last day.
        let perAddress: Int

        public init(waiting: Int, perAddress: Int) { (self.waiting, self.perAddress) = (waiting, perAddress) }
    }

    /// Why another request isn't taken now.
    public enum Full: Error {
        case list
        case address
    }

    /// - Returns: nil when nothing is known of that key.
    public func find(key: [UInt8]) throws -> KnownAccountRequest? {
        let rows = try session.reading {
            try session.connection.run(
                """
                SELECT request.id, name, contact, decided_at IS NOT NULL, coalesce(
                        reason, CASE WHEN revoked_at IS NOT NULL THEN 'its certificate was revoked' END),
                    der, (SELECT account.name FROM shacache.account WHERE account.id = account_id), request.request
                FROM shacache.account_request AS request LEFT JOIN shacache.certificate USING (fingerprint)
                WHERE key_sha256 = \(key)
                """)
        }
        return try rows.first.map { try KnownAccountRequest($0) }
    }

    /// Writes a request down, unless there is one of this key.
    ///
    /// - Parameters:
    ///   - name: that the account is to have; can be an account's.
    ///   - contact: one line.
    ///   - address: of the client.
    /// - Returns: what is known of that key now.
    /// - Throws: `Full`.
    public func add(
        _ signingRequest: CertificateRequest, name: String, contact: String, from address: String, limits: Limits
    ) throws -> KnownAccountRequest {
        let key = try signingRequest.publicKey().fingerprint()
        if let known = try find(key: key) { return known }
        try session.connection.transaction {
            try session.lock(.requestingAccount)
            try checkRoom(for: address, limits)
            let made = try session.connection.run(
                """
                INSERT INTO shacache.account_request (key_sha256, name, contact, request, client_address)
                VALUES (\(key), \(name), \(contact), \(try signingRequest.pem()), \(address)::inet)
                ON CONFLICT (key_sha256) DO NOTHING RETURNING id
                """)
            guard made.count == 1 else { return }
            try session.audit.append(
                "account request", of: name, by: "client:\(address)", detail: "\(contact); key \(hex(key))")
        }
        return try find(key: key)!
    }

    private func checkRoom(for address: String, _ limits: Limits) throws {
        let counted = try session.connection.run(
            """
            SELECT count(*) FILTER (WHERE decided_at IS NULL),
                count(*) FILTER (
                    WHERE (decided_at IS NULL OR created_at > now() - interval '1 day') AND client_address <<=
                        network(set_masklen(\(address)::inet, CASE family(\(address)::inet) WHEN 4 THEN 32 ELSE 64 END)))
            FROM shacache.account_request
            """
        ).first!
        guard counted.int(1)! < limits.perAddress else { throw Full.address }
        guard counted.int(0)! < limits.waiting else { throw Full.list }
    }
}

/// A request for an account as the database has it.
public struct KnownAccountRequest: Sendable {
    /// By which operators name it.
    public let number: Int
    /// That was asked for.
    public let name: String
    public let contact: String
    /// The certificate signing request, in PEM.
    public let signingRequest: String
    public let state: State

    public enum State: Sendable {
        case waiting
        /// - Parameter account: may have another name than was asked for.
        case approved(Certificate, account: String)
        case refused(reason: String)
    }

    /// - Parameter row: as `AccountRequests.find` reads it.
    fileprivate init(_ row: ResultRow) throws {
        number = row.int(0)!
        (name, contact, signingRequest) = (row.text(1)!, row.text(2)!, row.text(7)!)
        if let reason = row.text(4) {
            state = .refused(reason: reason)
        } else if row.bool(3) {
            state = .approved(try Certificate(der: row.bytes(5)!), account: row.text(6)!)
        } else {
            state = .waiting
        }
    }
}

/// What operators decide.
extension AccountRequests {
    /// - Parameter all: also what is decided.
    public func table(all: Bool) throws -> Table {
        Table(
            try session.connection.run(
                """
                SELECT number, name, contact, client_address, date_trunc('second', asked_at) AS asked_at, state, account,
                    valid_certificates, key, fingerprint, reason
                FROM report.account_requests WHERE \(all) OR state = 'waiting'
                """))
    }

    /// - Throws: `AdministrationError.unknown`, `.decided`.
    public func waiting(_ number: Int) throws -> KnownAccountRequest {
        let row = try session.connection.run(
            "SELECT key_sha256 FROM shacache.account_request WHERE id = \(number)"
        ).first
        guard let key = row?.bytes(0), let request = try find(key: key) else {
            throw AdministrationError.unknown("request", "\(number)")
        }
        guard case .waiting = request.state else { throw AdministrationError.decided(number) }
        return request
    }

    /// Gives the certificate to who asked: to a new account, or to one that is there.
    ///
    /// - Parameters:
    ///   - certificate: for the request's key.
    ///   - alter: makes the account, with what differs from the defaults; nil: it is there.
    /// - Throws: `AdministrationError`: `.exists`, `.unknown`, `.decided`; `.keyWasRevoked` as `Certificates.add`.
    public func approve(
        _ request: KnownAccountRequest, as account: String, with certificate: Certificate, by actor: String,
        alter: ((inout Account) -> Void)?
    ) throws {
        try session.audit.transaction(changing: account) {
            if let alter {
                try Accounts(session).insert(account, comment: request.contact, by: actor, alter: alter)
            }
            try Certificates(session).insert(certificate, of: account, origin: .signed, by: actor)
            let fingerprint = try certificate.fingerprint()
            try decide(request, "fingerprint = \(fingerprint)")
            try session.audit.append(
                "account request approve", of: account, by: actor,
                detail: "\(request.number) of \(request.name), \(request.contact): \(hex(fingerprint))")
        }
    }

    /// - Throws: `AdministrationError.decided`.
    public func refuse(_ request: KnownAccountRequest, because reason: Reason, by actor: String) throws {
        try session.audit.change(
            "account request refuse", of: request.name, by: actor,
            detail: "\(request.number), \(request.contact): \(reason.text)"
        ) {
            try decide(request, "reason = \(reason.text)")
        }
    }

    private func decide(_ request: KnownAccountRequest, _ decision: SQL) throws {
        let decided = try session.connection.run(
            """
            UPDATE shacache.account_request SET decided_at = now(), \(decision)
            WHERE id = \(request.number) AND decided_at IS NULL RETURNING id
            """)
        guard decided.count == 1 else { throw AdministrationError.decided(request.number) }
    }

    /// Removes what has waited for so long, and what was decided so long ago.
    func forget(olderThan seconds: Int) throws {
        try session.connection.run(
            """
            WITH gone AS (
                DELETE FROM shacache.account_request
                WHERE coalesce(decided_at, created_at) < now() - make_interval(secs => \(seconds))
                RETURNING id, name, contact, decided_at
            )
            INSERT INTO shacache.audit (actor, action, subject, detail)
            SELECT 'maintain', 'account request expire', name, format('%s, %s', id, contact)
            FROM gone WHERE decided_at IS NULL ORDER BY id
            """)
    }
}

/// For the page, which sees no more of them than the report says.
extension AccountRequests {
    public func countWaiting() throws -> Int {
        try session.reading {
            try session.connection.run("SELECT count(*) FROM report.account_requests WHERE state = 'waiting'").first!
                .int(0)!
        }
    }
}

/// For the metrics.
public struct AccountRequestFigures: Sendable {
    /// How many wait.
    public let waiting: Int
    /// Since when the first of them waits, in seconds since 1970; nil when none does.
    public let oldest: Int?

    public init(asking session: Session) throws {
        let row = try session.reading {
            try session.connection.run(
                """
                SELECT count(*), extract(epoch FROM min(created_at))::bigint
                FROM shacache.account_request WHERE decided_at IS NULL
                """
            ).first!
        }
        (waiting, oldest) = (row.int(0)!, row.int(1))
    }
}
