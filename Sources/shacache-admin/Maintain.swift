import ArgumentParser
import Foundation
import Storage

struct Maintain: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Do the daily upkeep of the record of uploads.",
        discussion: """
            Makes the record's partitions for this month and the next two, adds up the days that are over, so that \
            reports stay fast, and drops the months that are older than retention-months in shacache.toml says. Then it \
            looks whether what each account has stored is what the sums say, as account recount does. A timer runs it \
            every day (shacache-maintain.timer); running it again, or twice at once, does no harm. It gives up when a \
            report that runs is in the way: then it is to be run again later.
            """)
    @OptionGroup var options: CommonOptions

    func run() throws {
        let configuration = try options.configuration()
        let catalog = Catalog(configuration.adminDatabase)
        let upkeep = try catalog.maintainRecord(keeping: configuration.record.retentionMonths)
        try conclude(catalog)
        guard !options.json else { return print(try prettyJSON(upkeep.parts)) }
        for (what, dates) in upkeep.parts.sorted(by: { $0.key < $1.key }) where !dates.isEmpty {
            options.report("\(what.replacing("_", with: " ")): \(dates.summary)")
        }
        if upkeep.parts.values.allSatisfy(\.isEmpty) { options.report("there was nothing to do") }
    }

    private func conclude(_ catalog: Catalog) throws {
        let wrong = try catalog.miscountedAccounts()
        try catalog.recordRun(of: .maintain, on: ProcessInfo.processInfo.hostName, findings: wrong)
        guard wrong > 0 else { return }
        options.report("warning: the sums of \(wrong) accounts are wrong: shacache-admin account recount shows them")
    }
}

extension Upkeep {
    fileprivate var parts: [String: [String]] {
        ["months_made": monthsMade, "days_closed": daysClosed, "months_dropped": monthsDropped]
    }
}

extension [String] {
    /// The first run closes years of days.
    fileprivate var summary: String {
        count < 4 ? joined(separator: ", ") : "\(count), from \(first!) to \(last!)"
    }
}
