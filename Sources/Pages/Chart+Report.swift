import Storage

extension Chart {
    /// Day by day: a chart for each kind of what is counted, where there is more than one day.
    static func charts(of figure: DailyFigure, _ days: [DayFigure]) -> [Chart] {
        Dictionary(grouping: days, by: \.kind).sorted { $0.key < $1.key }.compactMap { kind, days in
            let measure = figure.measure ?? figure.report
            let points = points(days, areTotals: measure.hasPrefix("total"))
            return points.count > 1 ? Chart(of: measure, kind: kind, points) : nil
        }
    }

    /// A day without a row had no events: a total stays, anything else is 0.
    private static func points(_ days: [DayFigure], areTotals: Bool) -> [(label: String, value: Int)] {
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
        write = measure.hasSuffix("bytes") ? { Format.bytes($0) } : { Format.count($0) }
    }
}
