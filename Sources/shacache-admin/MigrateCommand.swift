import ArgumentParser
import Configuration
import Storage

struct MigrateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "migrate", abstract: "Bring the database's schema up to date.",
        discussion: """
            Applies the numbered files that the database lacks, and all functions and views when one has changed: as \
            the role shacache_owner, in one transaction. Once before, a superuser runs /usr/share/shacache/sql/roles.sql.
            """)
    @OptionGroup var options: AdminOptions
    @Option(help: "The directory with the SQL files.")
    var directory = "/usr/share/shacache/sql"

    func run() throws {
        let applied = try Migrations(Session(try options.configuration().ownerDatabase)).apply(from: directory)
        options.report(applied.isEmpty ? "the schema is up to date" : "applied \(applied.joined(separator: ", "))")
    }
}
