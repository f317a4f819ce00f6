import ArgumentParser
import Configuration
import Storage
import System
import TextTable

struct CheckCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Compare the store with the database completely, say how to mend what differs, and repair it.",
        discussion: """
            Looks at each blob's row and file, at trash, at the store's directories and leftovers, and at all sums that are kept \
            beside blobs, entries, uploads and downloads. It prints a line for each kind, with how many were found and \
            how they are mended; "Checking and repairing" in operate.md explains each. Nothing is changed without \
            --repair. Uploads go on meanwhile, and are never mistaken for faults.

            Exits with 1 when something is wrong and was not repaired, or could not be compared. What is harmless \
            (download-month, archive, trash-lost, trash-orphan, orphan, arriving, unknown) is listed, and no reason for it.

            --repair does only that by which nothing can be lost; what needs a blob's bytes, it leaves. The audit gets a \
            row for each kind. It may be interrupted, and repeated. One repair of a store runs at a time.

            To be run on the machine that has the store.
            """)
    @OptionGroup var options: AdminOptions
    @Flag(help: "Put right what can be without loss.") var repair = false
    @Flag(help: "Read all files, and compare their bytes with their names.") var deep = false
    @Option(
        help:
            "How fast files are read, in bytes a second, or as 500K or 1G (K, M, G, T: powers of 1024); 64M unless given."
    )
    var rate: Size?
    @Flag(help: "Print every finding, as it is found, before the table. --json always has them.") var list = false

    func validate() throws {
        guard rate.map({ $0 > 0 }) ?? true else { throw ValidationError("--rate takes 1 or more") }
    }

    func run() throws {
        let configuration = try options.configuration()
        let session = Session(configuration.adminDatabase)
        if deep { yieldToOthers() }
        var printer = FindingPrinter(isJSON: options.json, isPrinting: options.json || list)
        let report = try configuration.withStore {
            try StoreCheck(
                of: $0, session, repairingAs: repair ? options.actor : nil, isHashing: deep,
                rate: rate?.bytes ?? StoreCheck.usualRate
            ) { try printer.print($0) }.run()
        }
        try printer.finish(report.table)
        try conclude(report)
    }

    private func conclude(_ report: CheckReport) throws {
        for failure in report.failures { options.report("not compared: \(failure)") }
        guard report.faults == 0, report.failures.isEmpty else {
            let left = report.faults == 1 ? "1 fault is left" : "\(report.faults) faults are left"
            throw CommandError("\(left): the column mend says what to do")
        }
        options.report("all is well")
    }
}

/// Prints findings one by one, since memory need not have room for all, and at the end the sums.
private struct FindingPrinter {
    let isJSON: Bool
    let isPrinting: Bool
    private var count = 0

    init(isJSON: Bool, isPrinting: Bool) {
        self.isJSON = isJSON
        self.isPrinting = isPrinting
    }

    mutating func print(_ finding: CheckFinding) throws {
        guard isPrinting else { return }
        let shown = finding.withoutCredentials
        if isJSON {
            try output(count == 0 ? "{\"findings\": [\n" : ",\n", terminator: "")
            try output(prettyJSON(shown), terminator: "")
        } else {
            try output(shown.line)
        }
        count += 1
    }

    func finish(_ table: Table) throws {
        guard isJSON else {
            return try output((count > 0 ? "\n" : "") + table.withoutCredentials.withShortExamples.text())
        }
        let kinds = try prettyJSON(table.withoutCredentials)
        try output("\(count == 0 ? "{\"findings\": [" : "\n")],\n\"kinds\": \(kinds)}")
    }
}

extension CheckFinding {
    /// For one line on a terminal.
    fileprivate var line: String {
        let why = detail.isEmpty ? "" : ": \(detail)"
        return "\(kind.rawValue) \(name)\(why)\(isRepaired ? ": repaired" : "")".visible
    }
}

extension Table {
    /// For people: a name may be as long as a hash.
    fileprivate var withShortExamples: Table {
        let short = { (text: String) in text.count > 32 ? "\(text.prefix(31))…" : text }
        return Table(
            columns: columns,
            rows: rows.map { row in
                zip(columns, row).map { $0 == "example" ? .text(short($1.text)) : $1 }
            })
    }
}
