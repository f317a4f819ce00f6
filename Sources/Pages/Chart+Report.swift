import Storage

extension Chart {
    /// What is drawn of a report: of days, what says most of each; of single things, how many there are of each day.
    static func figures(of report: Report, columns: [String]) -> [Catalog.DailyFigure] {
        // Its own rows are of reasons.
        if report.name == "refusals" {
            return ["refused", "failed"].map { Catalog.DailyFigure(report: "uploads", measure: $0) }
        }
        if let moment = moments[report.name] {
            return [Catalog.DailyFigure(report: report.name, measure: nil, day: moment)]
        }
        guard columns.contains("day"), let measure = measures.first(where: columns.contains) else { return [] }
        return [Catalog.DailyFigure(report: report.name, measure: measure, hasKinds: columns.contains("kind"))]
    }

    private static let measures = ["total_bytes", "accepted", "requests", "uploads", "bytes"]

    /// Of what has a time, where it says something when there was how much; not of what another report draws.
    private static let moments = [
        "entries_to_look_into": "at", "entries_without_blob": "created_at",
        "expiring_certificates": "not_after", "withdrawals": "at",
    ]

    /// Day by day: a chart for each kind of what is counted, where there is more than one day.
    static func charts(of figure: Catalog.DailyFigure, _ days: [Catalog.ReportDay]) -> [Chart] {
        Dictionary(grouping: days, by: \.kind).sorted { $0.key < $1.key }.compactMap { kind, days in
            let measure = figure.measure ?? figure.report
            let points = points(days, areTotals: measure.hasPrefix("total"))
            return points.count > 1 ? Chart(of: measure, kind: kind, points) : nil
        }
    }

    /// On a day of which the report says nothing, nothing happened: a total stays, anything else is none.
    private static func points(_ days: [Catalog.ReportDay], areTotals: Bool) -> [(label: String, value: Int)] {
        guard areTotals else { return days.map { ($0.day, $0.value ?? 0) } }
        var total = 0
        return days.drop { $0.value == nil }.map { day in
            total = day.value ?? total
            return (day.day, total)
        }
    }

    private init(of measure: String, kind: String, _ points: [(label: String, value: Int)]) {
        let name = measure.replacing("_", with: " ")
        title = "\(name.capitalisedFirst) by day\(kind.isEmpty ? "" : ", \(kind)s")"
        self.measure = name
        self.points = points
        shape = measure.hasPrefix("total") ? .area : .columns
        write = measure.hasSuffix("bytes") ? { Amounts.bytes($0) } : { Amounts.count($0) }
    }
}
