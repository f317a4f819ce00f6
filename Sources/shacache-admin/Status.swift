import ArgumentParser
import Configuration
import Foundation
import OpenSSL
import Storage

struct Status: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Say what is there, and what needs somebody.",
        discussion: """
            What this machine hasn't got is left out: the store, the authority's certificate. Exits with 1 when the \
            database or the store can't be used as they are.
            """)
    @OptionGroup var options: CommonOptions

    func run() throws {
        let configuration = try options.configuration()
        let catalog = Catalog(configuration.adminDatabase)
        let schema = try catalog.appliedSchemaNumber() ?? 0
        guard schema >= Catalog.schemaNumber else {
            throw Failure("the database has schema \(schema), not \(Catalog.schemaNumber): run shacache-admin migrate")
        }
        let hasStore = FileManager.default.fileExists(atPath: configuration.store.directory)
        let free = hasStore ? try configuration.withStore { try $0.free() } : nil
        try show(
            catalog.summary().adding([
                ("authority_not_after", configuration.authorityEnd.map { .text(timestamp($0)) }),
                ("free_bytes", free.map { .number("\($0.bytes)") }),
                ("free_inodes", free.map { .number("\($0.inodes)") }), ("schema", .number("\(schema)")),
            ]))
        if hasStore {
            try configuration.withStore { try $0.admit(bytes: 0) }
        } else {
            options.report("\(configuration.store.directory): is not on this machine, so nothing is said of the store")
        }
    }

    private func show(_ summary: Table) throws {
        if options.json { return try options.show(summary) }
        for (column, value) in zip(summary.columns, summary.rows[0]) where value != .null {
            print(column.replacing("_", with: " ") + ": " + value.text)
        }
    }
}

extension Configuration {
    /// When the authority's certificate expires, in seconds since 1970; nil where it can't be read.
    fileprivate var authorityEnd: Int? { ca.flatMap { try? Certificate(pem: contents(of: $0.certificate)).notAfter } }
}

extension Table {
    /// The same table with more columns, for a table of one row.
    fileprivate func adding(_ more: [(name: String, value: Value?)]) -> Table {
        Table(columns: columns + more.map(\.name), rows: [rows[0] + more.map { $0.value ?? .null }])
    }
}
