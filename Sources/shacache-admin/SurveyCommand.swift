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
            """)
    @OptionGroup var options: CommonOptions
    @Option(help: "Whose store it is; for people, when several servers share a database.")
    var host = ProcessInfo.processInfo.hostName

    func run() throws {
        let configuration = try options.configuration()
        let catalog = Catalog(configuration.adminDatabase)
        let survey = try configuration.withStore { try catalog.survey($0, host: host) }
        try catalog.recordRun(of: .survey, on: host)
        try options.show(survey.table)
    }
}
