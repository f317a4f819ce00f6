import ArgumentParser
import Storage

struct Maintain: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Do the daily upkeep of the record of uploads.",
        discussion: """
            Makes the record's partitions for this month and the next two, adds up the days that are over, so that \
            reports stay fast, and drops the months that are older than retention-months in shacache.toml says. A timer \
            runs it every day (shacache-maintain.timer); running it again, or twice at once, does no harm. It gives up \
            when a report that runs is in the way: then it is to be run again later.
            """)
    @OptionGroup var options: CommonOptions

    func run() throws {
        let configuration = try options.configuration()
        let upkeep = try Catalog(configuration.adminDatabase)
            .maintainRecord(keeping: configuration.record.retentionMonths)
        guard !options.json else { return print(try prettyJSON(upkeep.parts)) }
        for (what, dates) in upkeep.parts.sorted(by: { $0.key < $1.key }) where !dates.isEmpty {
            options.report("\(what.replacing("_", with: " ")): \(dates.summary)")
        }
        if upkeep.parts.values.allSatisfy(\.isEmpty) { options.report("there was nothing to do") }
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
