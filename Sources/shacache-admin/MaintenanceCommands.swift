import AccessLog
import ArgumentParser
import Configuration
import Foundation
import Storage

struct MaintainCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "maintain",
        abstract: "Do the daily upkeep of the record of uploads, and of the sums of downloads.",
        discussion: """
            Makes the record's partitions for this month and the next two, adds up the days that are over, so that \
            reports stay fast, and drops the months that are older than retention-months in shacache.toml says; of \
            downloads, adds up the days of the months that are older than daily-download-months says; and forgets the \
            requests for accounts that are older than [account-requests] keep says. Then it looks \
            whether what each account has stored is what the sums say, as account recount does. A timer runs it \
            every day (shacache-maintain.timer); running it again, or twice at once, does no harm. It gives up when a \
            report that runs is in the way: then it is to be run again later.

            --recount does none of this. It compares the sums of the days that are over with the uploads themselves, as \
            far as these are kept: a day may have been closed too early while the clock was wrong. It lists the days that \
            differ, and exits with 1 when there are any that it did not repair.
            """)
    @OptionGroup var options: AdminOptions
    @Flag(help: "Compare the sums of days with their uploads.")
    var recount = false
    @Flag(help: "With --recount: put right what differs.")
    var repair = false

    func validate() throws {
        if repair, !recount { throw ValidationError("--repair goes with --recount") }
    }

    func run() throws {
        let configuration = try options.configuration()
        let session = Session(configuration.adminDatabase)
        guard !recount else { return try recountDays(Maintenance(session)) }
        let record = configuration.record
        let changes = try Maintenance(session).run(
            recordMonths: record.retentionMonths, downloadMonths: record.dailyDownloadMonths,
            requestSeconds: configuration.accountRequests.keep)
        try conclude(session)
        try reportChanges(changes.parts)
    }

    private func reportChanges(_ parts: [String: [String]]) throws {
        guard !options.json else { return try output(prettyJSON(parts)) }
        for (what, dates) in parts.sorted(by: { $0.key < $1.key }) where !dates.isEmpty {
            options.report("\(what.replacing("_", with: " ")): \(dates.summary)")
        }
        if parts.values.allSatisfy(\.isEmpty) { options.report("there was nothing to do") }
    }

    private func recountDays(_ maintenance: Maintenance) throws {
        let days = try maintenance.recountDays(repairingAs: repair ? options.actor : nil)
        try options.show(days)
        if days.rows.isEmpty { return }
        guard repair else {
            throw CommandError("the sums of these days differ from their uploads: --repair puts them right")
        }
        options.report("what differed is repaired")
    }

    private func conclude(_ session: Session) throws {
        let wrong = try AccountUsage(session).countDiffering()
        try TaskRuns(session).recordRun(of: .maintain, on: ProcessInfo.processInfo.hostName, findings: wrong)
        guard wrong > 0 else { return }
        options.report("warning: the sums of \(wrong) accounts are wrong: shacache-admin account recount shows them")
    }
}

extension Maintenance.Changes {
    fileprivate var parts: [String: [String]] {
        [
            "months_made": monthsMade, "days_closed": daysClosed, "months_dropped": monthsDropped,
            "download_months_folded": monthsFolded,
        ]
    }
}

extension [String] {
    /// The first run closes years of days.
    fileprivate var summary: String {
        count < 4 ? joined(separator: ", ") : "\(count), from \(first!) to \(last!)"
    }
}

struct IngestLogCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ingest-log", abstract: "Count the downloads in nginx's access log, by day, for reports.",
        discussion: """
            Reads on where the last run ended, also in the files that logrotate has made of the log since then: \
            FILE.1, FILE.2.gz and so on. It knows a file by its beginning, whatever its name is by now. Each line is \
            counted once, however often this runs and wherever it is killed. shacache-ingest-log.timer runs it.
            """)
    @OptionGroup var options: AdminOptions
    @Argument(help: "The log as nginx/log.conf has it written: one JSON object a line.")
    var files: [String]
    @Option(help: "Whose log it is; for people, when several servers share a database.")
    var host = ProcessInfo.processInfo.hostName

    func run() throws {
        let session = try options.session()
        var ingestion = LogIngestion(into: DownloadCounters(session), host: host)
        var failures: [String] = []
        for file in files {
            do {
                try ingestion.read(file)
            } catch let error as LogError {
                failures.append("\(error)")
            }
        }
        let summary = ingestion.summary
        options.report("\(summary.lines) new lines, \(summary.unreadable) of them unreadable")
        for file in ingestion.foreign { options.report("warning: \(file): no line of it is as nginx/log.conf says") }
        guard failures.isEmpty else { throw CommandError(failures.joined(separator: "\n")) }
        try TaskRuns(session).recordRun(of: .ingestLog, on: host, findings: summary.unreadable)
    }
}

struct HostCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "host", abstract: "The servers that share this database.", subcommands: [HostForget.self])

    struct HostForget: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "forget", abstract: "Miss a server no longer that was taken away.",
            discussion: """
                /metrics then shows no runs of its tasks, nor what its last survey found, so that no alert waits for \
                it. Reports keep what they have. A host that runs something again is there again.
                """)
        @OptionGroup var options: AdminOptions
        @Argument(help: "As the label host at /metrics has it.")
        var name: String

        func run() throws {
            try TaskRuns(options.session()).forgetHost(name, by: options.actor)
            options.report("host \(name) forgotten")
        }
    }
}

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
