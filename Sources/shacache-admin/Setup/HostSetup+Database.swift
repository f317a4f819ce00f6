import Configuration
import Foundation
import Postgres
import Storage
import System

extension HostSetup {
    var databaseSteps: [SetupStep] {
        (configuration.hasLocalDatabase ? localDatabaseSteps : [elsewhereStep]) + [
            SetupStep("schema") {
                _ = try Migrations(Session(configuration.ownerDatabase)).apply(from: "\(Self.share)/sql")
            } check: {
                let newest = try Migrations(Session(configuration.adminDatabase)).newestApplied() ?? 0
                guard newest >= Migrations.needed else {
                    throw SetupProblem(
                        "has number \(newest), not \(Migrations.needed)", "shacache-admin migrate, or shacache-setup")
                }
                return "has number \(newest)"
            }
        ]
    }

    private var elsewhereStep: SetupStep {
        SetupStep("database") {
            do {
                _ = try Migrations(Session(configuration.ownerDatabase)).newestApplied()
            } catch let error as DatabaseError where error.lacksSchema {
                // It is to get one.
            } catch {
                throw SetupProblem(
                    "\(error)",
                    "/usr/share/doc/shacache/install.md#a-database-on-another-host says what that host and .pgpass need"
                )
            }
            return "answers to shacache_owner"
        }
    }

    private var localDatabaseSteps: [SetupStep] {
        [
            SetupStep("PostgreSQL's package") { "has the cluster \(try LocalCluster(of: configuration).name)" },
            SetupStep("PostgreSQL") {
                try Program(["systemctl", "enable", "--quiet", "--now", "postgresql.service"]).run()
                let cluster = try LocalCluster(of: configuration)
                if !cluster.isRunning { try cluster.control("start") }
            } check: {
                let cluster = try LocalCluster(of: configuration)
                guard cluster.isRunning else {
                    throw SetupProblem(
                        "the cluster \(cluster.name) doesn't run", "systemctl start postgresql, and pg_lsclusters")
                }
                return "runs"
            },
            SetupStep("access to the database") {
                let cluster = try LocalCluster(of: configuration)
                try cluster.letIn()
                try cluster.control("reload")
            } check: {
                let cluster = try LocalCluster(of: configuration)
                guard let file = try cluster.fileThatKeepsOut() else { return "by the names of users" }
                throw SetupProblem("\(file): has not ShaCache's lines", "shacache-setup adds them")
            },
            SetupStep("database and roles") {
                let cluster = try LocalCluster(of: configuration)
                try cluster.asSuperuser(["psql", "-Xq", "-v", "ON_ERROR_STOP=1", "-f", "\(Self.share)/sql/roles.sql"])
                let made = try cluster.asSuperuser(["psql", "-XqAt", "-c", "SELECT datname FROM pg_database"])
                guard !made.split(separator: "\n").contains(Substring(cluster.database)) else { return }
                try cluster.asSuperuser(["createdb", "--owner=shacache_owner", cluster.database])
            } check: {
                do {
                    _ = try Migrations(Session(configuration.ownerDatabase)).newestApplied()
                } catch let error as DatabaseError where error.lacksSchema {
                    // It is to get one.
                }
                return "are there"
            },
        ]
    }
}

/// PostgreSQL's cluster of this machine that the configuration means, as Debian's packages keep it.
private struct LocalCluster {
    let release: String
    let cluster: String
    let isRunning: Bool
    let port: String
    let database: String

    var name: String { "\(release)/\(cluster)" }
    private var directory: String { "/etc/postgresql/\(release)/\(cluster)" }

    /// - Throws: `SetupProblem` when there is none.
    init(of configuration: Configuration) throws {
        let connection = configuration.database.connection
        let port = String(connection.firstMatch(of: /port=([0-9]+)/)?.1 ?? "5432")
        // Columns: release, cluster, port, status, and more.
        let clusters = try Program(["pg_lsclusters", "--no-header"]).quietText() ?? ""
        let found = clusters.split(separator: "\n").map { $0.split(separator: " ").map(String.init) }
            .first { $0.count > 3 && $0[2] == port }
        guard let found else {
            throw SetupProblem(
                "no cluster of PostgreSQL listens on port \(port) here",
                "apt install postgresql, or say by --database where it is")
        }
        (release, cluster, isRunning, self.port) = (found[0], found[1], found[3].hasPrefix("online"), port)
        database = String(connection.firstMatch(of: /dbname=([^\s']+)/)?.1 ?? "shacache")
    }

    func control(_ action: String) throws { try Program(["pg_ctlcluster", release, cluster, action]).run() }

    /// Runs one of PostgreSQL's programs as its superuser.
    @discardableResult
    func asSuperuser(_ words: [String]) throws -> String {
        try Program(["runuser", "-u", "postgres", "--"] + words + ["--port", port]).text()
    }

    // MARK: Who may log in

    private static let roles = ["owner", "admin", "collector", "worker", "page"].map { "shacache_\($0)" }

    /// The first match decides, so that this is above all others.
    private var access: String {
        "local \(database) \(Self.roles.joined(separator: ",")) peer map=shacache\n"
    }

    private static let users = """
        shacache shacache shacache_worker
        shacache shacache-page shacache_page
        shacache root shacache_admin
        shacache root shacache_collector
        shacache root shacache_owner

        """

    /// - Returns: nil when both have the lines.
    func fileThatKeepsOut() throws -> String? {
        try [("pg_hba.conf", access), ("pg_ident.conf", Self.users)]
            .first { try !String(decoding: contents(of: "\(directory)/\($0)"), as: UTF8.self).contains($1) }
            .map { "\(directory)/\($0.0)" }
    }

    func letIn() throws {
        for (name, lines) in [("pg_ident.conf", Self.users), ("pg_hba.conf", access)] {
            let path = "\(directory)/\(name)"
            let old = String(decoding: try contents(of: path), as: UTF8.self)
            if !old.contains(lines) { try replace(path, with: (lines + old).utf8) }
        }
    }
}
