import ArgumentParser
import Configuration
import Foundation
import Storage

struct CollectCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "collect",
        abstract:
            "What is kept, and what goes: by the tables [[retention]] of the configuration, and [fetching] bytes.",
        subcommands: [
            CollectPlan.self, CollectApply.self, CollectFetched.self, CollectStatus.self, CollectRestore.self,
        ])

    struct CollectPlan: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "plan", abstract: "Say what would go, and why; change nothing.",
            discussion: """
                Prints a line for each policy: how many entries go; how many blobs go as soon as these entries are gone, \
                and their bytes, each blob once; how many of these entries, and of the blobs that no entry names, were \
                touched so lately that `collect apply` leaves them ([collection] untouched); and what stays only because \
                it is pinned, or because another entry names the same blob. --list prints each entry and blob that goes, and why. "What is kept" in operate.md \
                explains policies.

                Exits with 1 when the policies can't be obeyed: one names an account or a signer that isn't there, all \
                would go, or use isn't known since a host hasn't counted its access log for a day.
                """)
        @OptionGroup var options: AdminOptions
        @Flag(help: "Print CSV.") var csv = false
        @Flag(help: "Print each entry and blob that goes, too; with --csv: these alone.") var list = false
        @Option(help: "List at most so many. A table has 100 unless told otherwise, CSV and JSON have all.")
        var limit: Int?

        func validate() throws {
            guard !(csv && options.json) else { throw ValidationError("--csv and --json exclude each other") }
            if let limit, limit < 1 { throw ValidationError("--limit takes 1 or more") }
            if limit != nil, !list { throw ValidationError("--limit goes with --list") }
        }

        func run() throws {
            let configuration = try options.configuration()
            let plan = CollectionPlan(
                Session(configuration.adminDatabase), configuration.retention, now: Int(Date.now.timeIntervalSince1970),
                untouched: configuration.collection.times.untouched)
            let remarks = try options.namingFile { try plan.prepare() }
            try print(plan)
            for remark in remarks { options.report(remark) }
            if configuration.retention.isEmpty {
                options.report("\(options.config) has no retention policy: nothing is ever removed")
            }
        }

        private var format: ReportFormat { options.json ? .json : csv ? .csv : .table }

        private func print(_ plan: CollectionPlan) throws {
            let figures = try plan.figures()
            defer { reportWaiting(figures) }
            switch format {
            case .table: try output(figures.text())
            case .csv where list: break
            case .csv: try output(csvLine(figures.columns) + figures.csvLines, terminator: "")
            case .json: try output("{\"policies\": \(prettyJSON(figures))", terminator: list ? ",\n\"list\": " : "}\n")
            }
            guard list else { return }
            if format == .table { try output("") }
            try printList(plan)
            if format == .json { try output("}") }
        }

        private func reportWaiting(_ figures: Table) {
            let (entries, blobs) = (figures.sum(of: "waiting_entries"), figures.sum(of: "waiting_blobs"))
            guard entries + blobs > 0 else { return }
            options.report(
                "\(entries) entries and \(blobs) blobs of these wait for `untouched` of [collection]: apply leaves them"
            )
        }

        private func printList(_ plan: CollectionPlan) throws {
            var printer = ReportPrinter(format: format)
            var columns: [String] = []
            let most = limit ?? format.usualLimit
            try plan.forEach(limit: most, asJSON: format == .json) { batch in
                columns = batch.columns
                try printer.take(batch.withoutCredentials)
            }
            try printer.finish(columns: columns)
            if limit == nil, printer.count == most {
                options.report("these are the first \(printer.count); --limit shows more")
            }
        }
    }
}

extension Table {
    fileprivate func sum(of column: String) -> Int {
        let index = columns.firstIndex(of: column)!
        return rows.reduce(0) { $0 + Int($1[index].text)! }
    }
}

extension AdminOptions {
    /// What is wrong with a policy is wrong with the configuration.
    func namingFile<Result>(_ body: () throws -> Result) throws -> Result {
        do {
            return try body()
        } catch let error as RetentionError {
            throw CommandError("\(config): \(error)")
        }
    }
}
