import Foundation
import OpenSSL

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
        try FileManager.default.contentsOfDirectory(atPath: "\(directory)/\(subdirectory)")
            .filter { $0.hasSuffix(".sql") }.sorted()
            .map { name in
                let path = "\(directory)/\(subdirectory)\(name)"
                return SchemaFile(
                    name: "\(subdirectory)\(name)", text: try String(contentsOfFile: path, encoding: .utf8))
            }
    }
}

struct SchemaFile {
    /// Below the directory.
    let name: String
    let text: String

    var sha256: [UInt8] { Hash.digest(.sha256, of: text.utf8) }
}
