import Foundation
public import Postgres
public import Storage

/// A database of a test's own, with the schema that production has, on the server that `make test-unit` starts.
public struct TestDatabase: Sendable {
    public let name: String

    public init() throws {
        name = "test_\(UUID().uuidString.lowercased().replacing("-", with: ""))"
        let administrator = Connection(ConnectionOptions(connectionString: "dbname=postgres", role: "postgres"))
        // Roles are the whole server's: tests that run at once make them one after the other.
        try administrator.transaction {
            try administrator.run("SELECT pg_advisory_xact_lock(1)")
            let roles = try String(contentsOfFile: "\(repository)/sql/roles.sql", encoding: .utf8)
            try administrator.runScript(roles)
        }
        try administrator.runScript("CREATE DATABASE \(name) OWNER shacache_owner")
        _ = try Migrations(session(as: "shacache_owner")).apply(from: "\(repository)/sql")
    }

    public func target(as role: String, statementTimeLimit: Int = 0) -> ConnectionOptions {
        ConnectionOptions(connectionString: "dbname=\(name)", role: role, statementTimeLimit: statementTimeLimit)
    }

    public func connection(as role: String = "shacache_owner") -> Connection { Connection(target(as: role)) }

    public func session(as role: String = "shacache_worker") -> Session { Session(target(as: role)) }
    /// As operators keep them.
    public var accounts: Accounts { Accounts(session(as: "shacache_admin")) }

    /// Makes an account, and returns it as a worker knows it.
    public func addAccount(
        _ name: String, comment: String = "", alter: (inout Account) -> Void = { _ in }
    ) throws -> Account {
        try accounts.add(name, comment: comment, by: "tester", alter: alter)
        return try Identities(session()).enabledAccount(named: name)!
    }

    /// Waits until one of its sessions is in a state, in terms of pg_stat_activity.
    public func waitForSession(where condition: SQL) throws {
        let observer = connection(as: "postgres")
        let deadline = Date(timeIntervalSinceNow: 20)
        let sql: SQL = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND \(condition)"
        while try observer.run(sql).first == nil {
            guard Date.now < deadline else { throw NoSuchSession() }
            Thread.sleep(forTimeInterval: 0.01)
        }
    }

    /// As operators keep them.
    public var certificates: Certificates { Certificates(session(as: "shacache_admin")) }
}

public struct NoSuchSession: Error {}
