import ArgumentParser
import Storage

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
