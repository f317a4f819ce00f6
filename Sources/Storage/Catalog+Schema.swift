import Foundation
import OpenSSL
import Postgres

/// Why the migrations in a directory can't be applied.
public struct MigrationError: Error, CustomStringConvertible {
    public let description: String
}

/// The database lacks what this program counts on: it waits for its migration.
public struct SchemaIsOlder: Error, CustomStringConvertible {
    public var description: String { "the database's schema is older than \(Catalog.schemaNumber)" }
}

extension Catalog {
    /// The number of the newest migration, which this code counts on.
    public static let schemaNumber = 12

    /// The number of the newest migration that the database has; nil before the first.
    public func appliedSchemaNumber() throws -> Int? {
        try reading { try connection.run("SELECT max(number) FROM shacache.migration").first?.int(0) }
    }

    /// Applies the migrations that the database lacks, each in a transaction of its own.
    ///
    /// - Parameter directory: with files `NNNN_name.sql`, numbered from 1 without gaps.
    /// - Returns: the names of those that were applied now.
    public func migrate(from directory: String) throws -> [String] {
        let files = try Self.migrations(in: directory)
        try connection.runScript("CREATE SCHEMA IF NOT EXISTS shacache")
        try connection.runScript(
            """
            CREATE TABLE IF NOT EXISTS shacache.migration (
                number integer PRIMARY KEY,
                name text NOT NULL,
                sha256 bytea NOT NULL,
                applied_at timestamptz NOT NULL DEFAULT now()
            )
            """)
        return try files.enumerated().compactMap { index, name in
            try apply(name, number: index + 1, text: String(contentsOfFile: "\(directory)/\(name)", encoding: .utf8))
        }
    }

    private static func migrations(in directory: String) throws -> [String] {
        let names = try FileManager.default.contentsOfDirectory(atPath: directory)
            .filter { $0.wholeMatch(of: /[0-9]{4}_.*\.sql/) != nil }.sorted()
        for (index, name) in names.enumerated() where Int(name.prefix(4)) != index + 1 {
            throw MigrationError(description: "\(directory): \(name) is not the migration after number \(index)")
        }
        guard !names.isEmpty else { throw MigrationError(description: "\(directory): holds no migrations") }
        return names
    }

    /// - Returns: the name, or nil when it was applied before.
    private func apply(_ name: String, number: Int, text: String) throws -> String? {
        let sha256 = Hash.digest(.sha256, of: text.utf8)
        return try connection.transaction {
            // Of two that migrate at once, the second finds the work done.
            try connection.run("LOCK TABLE shacache.migration IN EXCLUSIVE MODE")
            let applied = try connection.run("SELECT sha256 FROM shacache.migration WHERE number = \(number)").first
            if let applied {
                guard applied.bytes(0) == sha256 else {
                    throw MigrationError(description: "\(name): was changed after it had been applied")
                }
                return nil
            }
            try runOrGiveUp(text, of: name)
            try connection.run(
                "INSERT INTO shacache.migration (number, name, sha256) VALUES (\(number), \(name), \(sha256))")
            return name
        }
    }

    /// A migration that waits for a table holds up everybody who comes after it, so it doesn't wait for long.
    private func runOrGiveUp(_ text: String, of name: String) throws {
        try connection.run("SET LOCAL lock_timeout = '5s'")
        do {
            try connection.runScript(text)
        } catch let error as DatabaseError where error.kind == .rejected(sqlState: "55P03") {
            // lock_not_available, in PostgreSQL's appendix A.
            throw MigrationError(
                description: "\(name): not applied, since a table that it changes is in use: stop the workers, "
                    + "shacache-page and long reports, and try again (\(error.message))")
        }
    }
}
