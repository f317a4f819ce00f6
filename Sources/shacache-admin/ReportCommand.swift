import ArgumentParser
import Storage

struct ReportCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "report",
        abstract: "Answer a question about uploads, accounts, signers, keys, space and downloads.",
        discussion: """
            Without a name, lists the reports and the question that each answers. Each is a view of the database, which \
            psql and other programs can read too (docs/report.md). Days are in UTC.

              shacache-admin report uploads --since 2026-11-01
              shacache-admin report refusals --account alice
              shacache-admin report upload --format csv >uploads.csv

            In csv, a text that begins with = + - @ has an apostrophe before it: spreadsheets would run it as a formula, \
            and keys may hold anything. A table leaves out columns in which nothing stands, and shows control characters \
            without sending them to the terminal. json gives everything as it is.
            """)
    @OptionGroup var options: AdminOptions
    @Argument(help: "The report, as the list names it.")
    var name: String?
    @Option(help: "The first day that counts, as YYYY-MM-DD.")
    var since: DayOption?
    @Option(help: "The last day that counts, as YYYY-MM-DD.")
    var until: DayOption?
    @Option(help: "Only what this account did.")
    var account: String?
    @Option(help: "At most so many rows. A table has 100 unless told otherwise, csv and json have all.")
    var limit: Int?
    @Option(help: "table, csv or json; --json is --format json.")
    var format = ReportFormat.table

    func validate() throws {
        if let limit, limit < 1 { throw ValidationError("--limit takes 1 or more") }
        if name == nil, !asked.isEmpty { throw ValidationError("name the report that this is asked of") }
    }

    private var asked: [ReportFilter: String] {
        [.since: since?.text, .until: until?.text, .account: account].compactMapValues { $0 }
    }

    func run() throws {
        guard let name else { return try list(Report.all) }
        guard let report = Report.named(name.replacing("-", with: "_")) else {
            throw CommandError("there is no report \(name); shacache-admin report lists them")
        }
        for setting in ReportFilter.allCases where asked[setting] != nil && !report.settings.contains(setting) {
            throw CommandError("the report \(name) can't be asked for --\(setting): \(report.help)")
        }
        try print(report, of: Reports(try options.session()))
    }

    private var usedFormat: ReportFormat { options.json ? .json : format }

    private func list(_ reports: [Report]) throws {
        switch usedFormat {
        case .table: try output(reports.table.text())
        case .csv: try output(csvLine(reports.table.columns) + reports.table.csvLines, terminator: "")
        case .json: try output(prettyJSON(reports.table))
        }
    }

    private func print(_ report: Report, of reports: Reports) throws {
        var printer = ReportPrinter(format: usedFormat)
        var columns: [String] = []
        let used = limit ?? usedFormat.usualLimit
        try reports.read(report, asking: asked, limit: used, asJSON: usedFormat == .json) { batch in
            columns = batch.columns
            try printer.take(batch)
        }
        try printer.finish(columns: columns)
        if limit == nil, printer.count == used {
            options.report("these are the first \(printer.count); --limit shows more")
        }
    }
}

struct DayOption: ExpressibleByArgument {
    let text: String

    init?(argument: String) {
        guard let day = CalendarDay(argument) else { return nil }
        text = day.text
    }
}

extension [Report] {
    /// Under the names that people type.
    fileprivate var table: Table {
        Table(
            columns: ["report", "question"],
            rows: map { [.text($0.name.replacing("_", with: "-")), .text($0.help)] })
    }
}

enum ReportFormat: String, ExpressibleByArgument, CaseIterable {
    case table, csv, json

    /// A table is held in memory, since the width of its columns depends on all rows.
    var usualLimit: Int? { self == .table ? 100 : nil }
}

/// Writes a report to stdout, batch by batch.
struct ReportPrinter {
    let format: ReportFormat
    /// Of rows.
    private(set) var count = 0
    private var isBegun = false
    private var held: [[TableValue]] = []

    init(format: ReportFormat) { self.format = format }

    /// - Parameter batch: for JSON, each row has one column that holds an object.
    mutating func take(_ batch: Table) throws {
        count += batch.rows.count
        switch format {
        case .table: held += batch.rows
        case .csv: try output((isBegun ? "" : csvLine(batch.columns)) + batch.csvLines, terminator: "")
        case .json where batch.rows.isEmpty: return
        case .json:
            try output(
                (isBegun ? ",\n" : "[\n") + batch.rows.map { $0[0].text }.joined(separator: ",\n"), terminator: "")
        }
        isBegun = true
    }

    /// - Parameter columns: as the batches have them.
    func finish(columns: [String]) throws {
        switch format {
        case .table:
            let table = Table(columns: columns, rows: held)
            try output((held.isEmpty ? table : table.withoutEmptyColumns()).text())
        case .csv: break
        case .json: try output(isBegun ? "\n]" : "[]")
        }
    }
}
