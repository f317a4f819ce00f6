import ArgumentParser
import Configuration
import Foundation
import OpenSSL
import Postgres
import ShaCache
import Storage
import System

@main
struct Admin: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "shacache-admin",
        abstract: "Runs a ShaCache server: who may upload, what is kept, whether it is right, and its copies.",
        discussion: """
            To let somebody upload, make an account, then a certificate for it:

              shacache-admin account add alice
              shacache-admin certificate issue alice --out /root/for-alice

            To look whether all is well, to see what the policies of retention would let go, and to make a backup:

              shacache-admin check
              shacache-admin collect plan
              shacache-admin backup /srv/shacache-backup --keep 14

            Every change works on the next request, and is written to the table shacache.audit with your name. \
            Exit codes: 0 done, 1 not done (stderr says why), 64 wrong usage.
            """,
        version: Configuration.version,
        groupedSubcommands: [
            CommandGroup(
                name: "Uploader",
                subcommands: [
                    AccountCommand.self, RequestCommand.self, CertificateCommand.self, AuthorityCommand.self,
                    SignerCommand.self,
                ]),
            CommandGroup(
                name: "Content",
                subcommands: [
                    EntryCommand.self, BlobCommand.self, WithdrawalCommand.self, CollectCommand.self, PinCommand.self,
                ]),
            CommandGroup(
                name: "Health",
                subcommands: [
                    StatusCommand.self, ReportCommand.self, CheckCommand.self, ScrubCommand.self, SurveyCommand.self,
                    MaintainCommand.self, IngestLogCommand.self, HostCommand.self, SetupCommand.self,
                ]),
            CommandGroup(
                name: "Safety",
                subcommands: [BackupCommand.self, RestoreCommand.self, JournalCommand.self, RebuildCommand.self]),
            CommandGroup(
                name: "Exchange", subcommands: [ImportCommand.self, ExportCommand.self, MirrorCommand.self]),
            CommandGroup(name: "Database", subcommands: [MigrateCommand.self]),
        ])

    static func main() {
        do {
            var command = try parseAsRoot(Array(processArguments.dropFirst()))
            try Hash.Algorithm.requireSHA2()
            try command.run()
        } catch {
            guard exitCode(for: error) == .failure else { exit(withError: error) }
            let reason = (error as? DatabaseError)?.schemaProblem ?? "\(error)"
            let message = withoutCredentials(in: reason).said(by: "shacache-admin")
            try? FileHandle.standardError.write(contentsOf: Data(message.utf8))
            exit(withError: ExitCode.failure)
        }
    }
}

extension DatabaseError {
    /// In place of the statement that failed; nil: it isn't the schema's fault.
    fileprivate var schemaProblem: String? {
        guard lacksSchema else { return nil }
        return "the database has not what this release needs (\(message)): run shacache-admin migrate"
    }
}

/// What every command takes.
struct AdminOptions: ParsableArguments {
    @Option(help: "The configuration file; /usr/share/shacache/shacache.toml explains every option.")
    var config = "/etc/shacache/shacache.toml"

    @Flag(help: "Print JSON, for scripts.")
    var json = false

    func configuration() throws -> Configuration { try Configuration(file: config) }

    func session() throws -> Session { Session(try configuration().adminDatabase) }

    /// Prints a list in the form that was asked for. Users and passwords in URLs are left out, as reports do: what
    /// names a thing to another command is its number.
    func show(_ table: Table) throws {
        let shown = table.withoutCredentials
        try output(json ? prettyJSON(shown) : shown.text())
    }

    /// Says what was done, on a terminal; scripts read the exit code.
    func report(_ line: String) {
        let shown = withoutCredentials(in: line).shownFileName
        try? FileHandle.standardError.write(contentsOf: Data("\(shown)\n".utf8))
    }

    /// Writes to the store's journal. That it can't, as on a machine without the store, is no reason to fail: the change is
    /// made, and the daily `journal` writes what is lacking.
    func journal(_ write: (Journal) throws -> Void) {
        try? configuration().withStore { try write(Journal(in: $0)) }
    }

    /// Whom the audit names: the person behind sudo.
    var actor: String {
        ProcessInfo.processInfo.environment["SUDO_USER"] ?? NSUserName()
    }
}

/// A point in time, as options give it and as messages have it.
struct Timestamp: CustomStringConvertible {
    let secondsSince1970: Int

    init(_ secondsSince1970: Int) { self.secondsSince1970 = secondsSince1970 }

    /// In the format of the database: `2026-11-22 10:30:00+00`.
    var description: String {
        Date(timeIntervalSince1970: TimeInterval(secondsSince1970)).formatted(.iso8601.dateTimeSeparator(.space))
            .replacing("Z", with: "+00")
    }
}

extension Timestamp: ExpressibleByArgument {
    /// - Parameter argument: a day or a time, of UTC unless it has a zone: `2026-11-22`, `2026-11-22T10:30:00` or
    ///   `2026-11-22 10:30:00`, with `Z`, an offset or nothing.
    init?(argument: String) {
        let time = argument.replacing(" ", with: "T")
        let isTime = time.contains("T")
        let hasZone = time.contains(/T.*(Z|[+-][0-9:]+)$/)
        let text = isTime ? (hasZone ? time : "\(time)Z") : "\(time)T00:00:00Z"
        guard let date = try? Date(text, strategy: .iso8601) else { return nil }
        self.init(Int(date.timeIntervalSince1970))
    }
}
