import ArgumentParser
import Configuration
import Foundation
import Storage

struct Status: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Say what is there, and what needs somebody.",
        discussion: "Exits with 1 when the database or the store can't be used as they are.")
    @OptionGroup var options: CommonOptions

    func run() throws {
        let configuration = try options.configuration()
        let catalog = Catalog(configuration.adminDatabase)
        let schema = try catalog.appliedSchemaNumber() ?? 0
        guard schema >= Catalog.schemaNumber else {
            throw Failure("the database has schema \(schema), not \(Catalog.schemaNumber): run shacache-admin migrate")
        }
        let store = BlobStore(directory: configuration.store.directory)
        let free = try store.free()
        let summary = try catalog.summary().adding([
            ("free_bytes", free.bytes), ("free_inodes", free.inodes), ("schema", schema),
        ])
        if options.json {
            try options.show(summary)
        } else {
            for (column, value) in zip(summary.columns, summary.rows[0]) {
                print(column.replacing("_", with: " ") + ": " + value.text)
            }
        }
        try store.admit(bytes: 0)
    }
}

extension Table {
    /// The same table with more columns, for a table of one row.
    fileprivate func adding(_ more: [(name: String, value: Int)]) -> Table {
        Table(
            columns: columns + more.map(\.name), rows: [rows[0] + more.map { .number("\($0.value)") }])
    }
}
