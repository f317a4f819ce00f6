import Glibc
import Postgres
import System

/// Dumps and restores the database, by PostgreSQL's own programs.
struct DatabaseDump {
    /// As its owner, who may read all, and make all anew.
    let owner: ConnectionOptions
    /// Of the server.
    let version: String
    private let release: Int

    /// - Parameter session: with the same database.
    init(of owner: ConnectionOptions, _ session: Session) throws {
        self.owner = owner
        let row = try session.connection.run(
            "SELECT current_setting('server_version'), current_setting('server_version_num')::int / 10000"
        ).first!
        version = row.text(0)!
        release = row.int(1)!
    }

    /// Of ShaCache's schemas alone: what else an operator has put there, such as an extension, only a superuser might be
    /// able to make again.
    private static let schemas = ["shacache", "report", "page"]

    func dump(to file: String) throws {
        try run(
            "pg_dump",
            ["--format=custom", "--file=\(file)"] + Self.schemas.map { "--schema=\($0)" })
    }

    /// All of it or nothing.
    func restore(from file: String) throws { try run("pg_restore", ["--single-transaction", "--exit-on-error", file]) }

    private func run(_ name: String, _ words: [String]) throws {
        do {
            // A connection string comes without a user.
            try Program(
                [path(of: name), "--no-password", "--username=\(owner.role)", "--dbname=\(owner.connectionString)"]
                    + words
            ).run()
        } catch let error as ProgramError {
            throw BackupError(
                """
                \(error)
                hint: it is that of PostgreSQL \(release), if apt install postgresql-client-\(release) has put it here, and \
                logs in as \(owner.role), as shacache-admin migrate does
                """)
        }
    }

    /// That of the server's release, where Debian's packages put it: an older one refuses, and what a newer one writes,
    /// an older one can't read.
    private func path(of name: String) -> String {
        let path = "/usr/lib/postgresql/\(release)/bin/\(name)"
        return access(path, X_OK) == 0 ? path : name
    }
}

/// The rights on the database itself, which its dump doesn't have.
struct DatabaseRights {
    let session: Session

    /// Role and right; the role PUBLIC is everybody.
    func granted() throws -> [[String]] {
        try session.connection.run(
            """
            SELECT CASE WHEN grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END, privilege_type
            FROM pg_database, aclexplode(coalesce(datacl, acldefault('d', datdba)))
            WHERE datname = current_database() AND grantee <> datdba ORDER BY 1, 2
            """
        ).map { [$0.text(0)!, $0.text(1)!] }
    }

    /// As the owner: in place of those that a new database has.
    func restore(_ rights: [[String]]) throws {
        let database = try session.connection.run("SELECT quote_ident(current_database())").first!.text(0)!
        let grants = rights.map { "GRANT \($0[1]) ON DATABASE \(database) TO \($0[0]);" }
        try session.connection.runScript(
            """
            BEGIN;
            REVOKE ALL ON DATABASE \(database) FROM PUBLIC;
            REVOKE ALL ON SCHEMA public FROM PUBLIC;
            \(grants.joined(separator: "\n"))
            COMMIT
            """)
    }
}
