import ArgumentParser
import Configuration
import Storage

struct Migrate: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Bring the database's schema up to date.",
        discussion: """
            Applies the numbered files that the database lacks, as the role shacache_owner, each in a transaction of \
            its own. Once before, a superuser runs /usr/share/shacache/sql/roles.sql.
            """)
    @OptionGroup var options: CommonOptions
    @Option(help: "The directory with the numbered files.")
    var directory = "/usr/share/shacache/sql"

    func run() throws {
        let applied = try Catalog(try options.configuration().ownerDatabase).migrate(from: directory)
        options.report(applied.isEmpty ? "the schema is up to date" : "applied \(applied.joined(separator: ", "))")
    }
}
