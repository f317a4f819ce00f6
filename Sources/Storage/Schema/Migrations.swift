import OpenSSL
import Postgres
import System

/// Why the schema can't be brought up to date.
public struct MigrationError: Error, CustomStringConvertible {
    public let description: String
}

/// The database lacks what this program needs: it has yet to be migrated to the release of this program.
public struct SchemaIsOlder: Error, CustomStringConvertible {
    public var description: String { "the database's schema is older than \(Migrations.needed)" }
}

/// The schema of the database.
public struct Migrations {
    /// The number of the newest migration, which this code needs.
    public static let needed = 22

    let session: Session
    private var connection: Connection { session.connection }

    public init(_ session: Session) { self.session = session }

    /// The number of the newest migration that the database has; nil before the first.
    public func newestApplied() throws -> Int? {
        try session.reading { try connection.run("SELECT max(number) FROM shacache.migration").first?.int(0) }
    }

    /// Applies the migrations that the database lacks, and all functions and views when the text of one has changed: in
    /// one transaction, so that everything is of one release. Of two calls at once, the second waits and finds nothing
    /// to do.
    ///
    /// - Parameter directory: see `SchemaFiles`.
    /// - Returns: the names of the files that were new.
    public func apply(from directory: String) throws -> [String] {
        let files = try SchemaFiles(in: directory)
        return try connection.transaction {
            try session.lock(.migration)
            try connection.runScript(Self.tables)
            let lacking = try lacking(files.migrations)
            let changed = try changed(files.repeatable)
            guard !lacking.isEmpty || !changed.isEmpty else { return [] }
            try dropViews()
            // A statement that waits for a table blocks all later ones on it: so a short timeout.
            try connection.run("SET LOCAL lock_timeout = '5s'")
            for (number, file) in lacking { try apply(file, number: number) }
            for file in files.repeatable { try run(file) }
            try recordRepeatable(files.repeatable)
            return lacking.map(\.file.name) + changed
        }
    }

    /// - Parameter directory: see `SchemaFiles`.
    /// - Throws: `MigrationError` unless it has what this release needs.
    public static func requireFiles(in directory: String) throws {
        let newest = try SchemaFiles(in: directory).migrations.last!.name
        guard Int(newest.prefix(4))! >= needed else {
            throw MigrationError(
                description: "\(directory): \(newest) is its newest migration, and this release needs number \(needed)")
        }
    }

    private static let tables = """
        CREATE SCHEMA IF NOT EXISTS shacache;
        CREATE TABLE IF NOT EXISTS shacache.migration (
            number integer PRIMARY KEY,
            name text NOT NULL,
            sha256 bytea NOT NULL,
            applied_at timestamptz NOT NULL DEFAULT now()
        );
        CREATE TABLE IF NOT EXISTS shacache.repeatable (
            name text PRIMARY KEY,
            sha256 bytea NOT NULL,
            applied_at timestamptz NOT NULL DEFAULT now()
        )
        """

    /// - Throws: when one that was applied has changed since, or the database has more than these.
    private func lacking(_ migrations: [SchemaFile]) throws -> [(number: Int, file: SchemaFile)] {
        let applied = try connection.run("SELECT sha256 FROM shacache.migration ORDER BY number").map { $0.bytes(0) }
        guard applied.count <= migrations.count else {
            throw MigrationError(
                description:
                    "the database has migration \(applied.count), and \(migrations.last!.name) is the newest here: "
                    + "use the programs of the newer release")
        }
        for (file, sha256) in zip(migrations, applied) where file.sha256 != sha256 {
            throw MigrationError(description: "\(file.name): was changed after it had been applied")
        }
        return migrations.enumerated().dropFirst(applied.count).map { ($0.offset + 1, $0.element) }
    }

    /// The names of those that the database has not as they are here, and of those that it has and that are gone.
    private func changed(_ files: [SchemaFile]) throws -> [String] {
        let rows = try connection.run("SELECT name, sha256 FROM shacache.repeatable")
        var applied = Dictionary(uniqueKeysWithValues: rows.map { ($0.text(0)!, $0.bytes(1)) })
        let changed = files.filter { applied.removeValue(forKey: $0.name) != $0.sha256 }.map(\.name)
        return changed + applied.keys.sorted()
    }

    /// They hold no data, and a view whose columns change can't be replaced in place. Without CASCADE: what others made
    /// of them is not ours to drop.
    private func dropViews() throws {
        let views = try connection.run(
            """
            SELECT string_agg(format('%I.%I', nspname, relname), ', ' ORDER BY pg_class.oid DESC)
            FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
            WHERE relkind = 'v' AND nspname IN ('shacache', 'report', 'page')
            """
        ).first?.text(0)
        if let views { try dropYieldingToReports("DROP VIEW \(views)") }
    }

    /// A report of several views may hold one and wait for another while this waits for the first. Each attempt is
    /// shorter than PostgreSQL's deadlock_timeout, a second, and then releases what it had: so no report fails of a
    /// deadlock.
    private func dropYieldingToReports(_ statement: String) throws {
        try connection.run("SET LOCAL lock_timeout = '500ms'")
        try connection.run("SAVEPOINT views")
        for _ in 1..<Self.attempts {
            do {
                return try connection.runScript(statement)
            } catch let error as DatabaseError where error.kind == .rejected(sqlState: Self.lockNotAvailable) {
                try connection.run("ROLLBACK TO SAVEPOINT views")
            }
        }
        try givingUp(on: "the views") { try connection.runScript(statement) }
    }

    private static let attempts = 10

    /// In PostgreSQL's appendix A.
    private static let lockNotAvailable = "55P03"

    private func apply(_ file: SchemaFile, number: Int) throws {
        try run(file)
        try connection.run(
            "INSERT INTO shacache.migration (number, name, sha256) VALUES (\(number), \(file.name), \(file.sha256))")
    }

    private func run(_ file: SchemaFile) throws {
        try givingUp(on: file.name) { try connection.runScript(file.text) }
    }

    private func recordRepeatable(_ files: [SchemaFile]) throws {
        try connection.run("DELETE FROM shacache.repeatable")
        for file in files {
            try connection.run(
                "INSERT INTO shacache.repeatable (name, sha256) VALUES (\(file.name), \(file.sha256))")
        }
    }

    private func givingUp(on name: String, _ body: () throws -> Void) throws {
        do {
            try body()
        } catch let error as DatabaseError where error.kind == .rejected(sqlState: Self.lockNotAvailable) {
            throw MigrationError(
                description: "\(name): not applied, since a table or view that it changes is in use: stop the workers, "
                    + "shacache-page and long reports, and try again (\(error.message))")
        }
    }
}

/// What the database's schema is made of: a directory of SQL.
struct SchemaFiles {
    /// Tables and their rights: `NNNN_name.sql`, numbered from 1 without gaps. Each is applied once, in order.
    let migrations: [SchemaFile]
    /// Functions and views, in the order in which they are applied: as often as the text of one changes.
    let repeatable: [SchemaFile]

    init(in directory: String) throws {
        migrations = try Self.migrations(in: directory)
        // The comments come last, since they are of views.
        repeatable =
            try Self.subdirectories.flatMap { try Self.files(in: directory, below: "\($0)/") }
            + [SchemaFile(name: "questions of the reports", text: Report.comments)]
    }

    /// Each may use what is in those before it. Within one, no file needs another: a view that is made of another view
    /// is in its file, behind it.
    private static let subdirectories = ["functions", "views", "report", "page"]

    private static func migrations(in directory: String) throws -> [SchemaFile] {
        let files = try files(in: directory).filter { $0.name.wholeMatch(of: /[0-9]{4}_.*/) != nil }
        for (index, file) in files.enumerated() where Int(file.name.prefix(4)) != index + 1 {
            throw MigrationError(description: "\(directory): \(file.name) is not the migration after number \(index)")
        }
        guard !files.isEmpty else { throw MigrationError(description: "\(directory): holds no migrations") }
        return files
    }

    /// By name.
    private static func files(in directory: String, below subdirectory: String = "") throws -> [SchemaFile] {
        do throws(SystemError) {
            return try namesInDirectory("\(directory)/\(subdirectory)").filter { $0.hasSuffix(".sql") }.sorted()
                .map { name throws(SystemError) in
                    let text = try contentsOfFile("\(directory)/\(subdirectory)\(name)")
                    return SchemaFile(name: "\(subdirectory)\(name)", text: String(decoding: text, as: UTF8.self))
                }
        } catch {
            throw MigrationError(
                description:
                    "\(error)\nhint: the SQL files of this release are to be there: an option names another directory")
        }
    }
}

struct SchemaFile {
    /// Below the directory.
    let name: String
    let text: String

    var sha256: [UInt8] { Hash.digest(.sha256, of: text.utf8) }
}
