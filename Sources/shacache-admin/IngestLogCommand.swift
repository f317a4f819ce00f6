import AccessLog
import ArgumentParser
import Foundation
import Storage

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
