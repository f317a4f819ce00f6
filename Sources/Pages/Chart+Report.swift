import Storage

extension Chart {
    /// What of a report is worth a picture: what happened day by day. nil for other reports.
    init?(_ table: Table) {
        guard let measure = Self.measures.first(where: { table.columns.contains($0) }),
            let value = table.columns.firstIndex(of: measure),
            let day = table.columns.firstIndex(of: "day"), table.rows.count > 1
        else { return nil }
        var sums: [String: Int] = [:]
        for row in table.rows {
            sums[row[day].text, default: 0] += Int(row[value].text) ?? 0
        }
        id = "report"
        title = "\(measure.replacing("_", with: " ").capitalisedFirst) by day"
        self.measure = measure
        points = sums.keys.sorted().map { day in (label: day, value: sums[day] ?? 0) }
        shape = measure.hasPrefix("total") ? .area : .columns
        write = measure.hasSuffix("bytes") ? { Amounts.bytes($0) } : { Amounts.count($0) }
    }

    /// Of several columns, the one that says most.
    private static let measures = ["total_bytes", "accepted", "requests", "uploads", "bytes"]
}
