import ArgumentParser
import Foundation
import Storage

struct SurveyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "survey",
        abstract: "Compare what lies in the store with the database, and write it down for reports.",
        discussion: """
            Counts files, bytes and what the disk gave for them, by kind: referenced (an entry names it), \
            unreferenced, withdrawn, exposed (withdrawn, and where readers look), damaged (of another size than was \
            stored), arriving (without row for less than a day), orphan (for longer), temporary, unknown, directory; \
            and dangling: rows without a file. Nothing is changed. shacache-survey.timer runs it every day.

            Then it reads the blobs that entries of the binary cache promise to be archives, each once: the newest \
            first, and for no longer than --archive-seconds. The report unreadable-archives names those that nodes \
            can't unpack, and those that were not read yet.
            """)
    @OptionGroup var options: AdminOptions
    @Option(help: "Whose store it is; for people, when several servers share a database.")
    var host = ProcessInfo.processInfo.hostName

    @Option(help: "For so many seconds, archives are read that were not yet; 0: none.")
    var archiveSeconds = 600

    func validate() throws {
        guard archiveSeconds >= 0 else { throw ValidationError("--archive-seconds takes 0 or more") }
    }

    func run() throws {
        let configuration = try options.configuration()
        let session = Session(configuration.adminDatabase)
        let report = try configuration.withStore { try StoreAudit.run(of: BlobRepository($0, session), host: host) }
        try TaskRuns(session).recordRun(of: .survey, on: host)
        try options.show(report.table)
        let archives = ReleaseArchives(session)
        try configuration.withStore {
            try ArchiveReading(of: archives, in: $0, seconds: archiveSeconds).run()
        }
        try warn(archives.counts())
    }

    private func warn(_ archives: (unreadable: Int, unread: Int)) {
        if archives.unreadable > 0 {
            options.report(
                "warning: \(archives.unreadable) archives of compiled releases can't be read: shacache-admin report "
                    + "unreadable-archives names them")
        }
        if archives.unread > 0 { options.report("\(archives.unread) archives of compiled releases were not read yet") }
    }
}
