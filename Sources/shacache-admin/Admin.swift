import ArgumentParser
import Configuration
import FileNames
import Foundation
import OpenSSL
import Storage

@main
struct Admin: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "shacache-admin",
        abstract: "Runs a ShaCache server: accounts, certificates, signers, withdrawals, and the database's schema.",
        discussion: """
            To let somebody upload, make an account, then a certificate for it:

              shacache-admin account add alice
              shacache-admin certificate issue alice --out /root/for-alice

            Every change works on the next request, and is written to the table shacache.audit with your name. \
            Exit codes: 0 done, 1 not done (stderr says why), 64 wrong usage.
            """,
        version: Configuration.version,
        subcommands: [
            AccountCommand.self, CertificateCommand.self, SignerCommand.self, EntryCommand.self, BlobCommand.self,
            WithdrawalCommand.self, AuthorityCommand.self, Migrate.self, Status.self, ReportCommand.self, Maintain.self,
            IngestLog.self, SurveyCommand.self, HostCommand.self,
        ])

    static func main() {
        do {
            var command = try parseAsRoot(Array(processArguments.dropFirst()))
            try Hash.Algorithm.requireSHA2()
            try command.run()
        } catch {
            guard exitCode(for: error) == .failure else { exit(withError: error) }
            try? FileHandle.standardError.write(contentsOf: Data("shacache-admin: \("\(error)".shownFileName)\n".utf8))
            exit(withError: ExitCode.failure)
        }
    }
}

/// What every command takes.
struct CommonOptions: ParsableArguments {
    @Option(help: "The configuration file; /usr/share/shacache/shacache.toml explains every option.")
    var config = "/etc/shacache/shacache.toml"

    @Flag(help: "Print JSON, for scripts.")
    var json = false

    func configuration() throws -> Configuration { try Configuration(file: config) }

    func catalog() throws -> Catalog { Catalog(try configuration().adminDatabase) }

    /// Prints a list in the form that was asked for.
    func show(_ table: Table) throws { try output(json ? prettyJSON(table) : table.text()) }

    /// Says what was done, on a terminal; scripts read the exit code.
    func report(_ line: String) {
        try? FileHandle.standardError.write(contentsOf: Data("\(line.shownFileName)\n".utf8))
    }

    /// Whom the audit names: the person behind sudo.
    var actor: String {
        ProcessInfo.processInfo.environment["SUDO_USER"] ?? NSUserName()
    }
}
