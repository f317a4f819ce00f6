import Postgres

/// What is counted of each day, for a chart.
public struct DailyFigure: Sendable {
    /// The view that has it.
    public let report: String
    /// A column whose values are added up; nil counts rows.
    public let measure: String?
    /// The column that holds the day, or else a point in time.
    let day: String
    /// Whether the report has a column `kind`.
    let hasKinds: Bool

    static func sum(_ measure: String, of report: String, hasKinds: Bool = false) -> DailyFigure {
        DailyFigure(report: report, measure: measure, day: "day", hasKinds: hasKinds)
    }

    /// Of single things, how many there are of each day.
    ///
    /// - Parameter moment: the column that holds a point in time.
    static func count(of report: String, by moment: String) -> DailyFigure {
        DailyFigure(report: report, measure: nil, day: moment, hasKinds: false)
    }

    // Names of the schema, never input.
    fileprivate var view: SQL { SQL(stringLiteral: "report.\"\(report)\"") }
    fileprivate var kind: SQL { hasKinds ? "kind" : "''" }
    fileprivate var value: SQL { measure.map { SQL(stringLiteral: "sum(\"\($0)\")") } ?? "count(*)" }
    fileprivate var date: SQL {
        day == "day" ? "day" : SQL(stringLiteral: "(\"\(day)\" AT TIME ZONE 'UTC')::date")
    }
}

extension Reports {
    /// - Parameters:
    ///   - settings: those that the report obeys; an account that doesn't exist is an error.
    ///   - most: days, counted back from the last.
    public func days(
        of figure: DailyFigure, asking settings: [ReportFilter: String], most: Int
    ) throws -> [DayFigure] {
        try transaction(asking: settings) {
            try session.connection.run(
                """
                WITH summed AS MATERIALIZED (
                    SELECT \(figure.date) AS day, \(figure.kind) AS kind, \(figure.value)::bigint AS value
                    FROM \(figure.view) GROUP BY 1, 2
                ), span AS (
                    SELECT greatest(min(day), max(day) - \(most)::integer + 1) AS first, max(day) AS last FROM summed
                )
                SELECT each.day::date, kind, value
                FROM span CROSS JOIN (SELECT DISTINCT kind FROM summed) AS kinds
                CROSS JOIN LATERAL generate_series(first::timestamp, last::timestamp, interval '1 day') AS each(day)
                LEFT JOIN summed USING (day, kind)
                ORDER BY kind, day
                """)
        }.map { DayFigure(day: $0.text(0)!, kind: $0.text(1)!, value: $0.int(2)) }
    }
}

/// What a report of days says of each of them, from the first that it has to the last, with none left out: one row
/// for a day and kind, by kind and day.
public struct DayFigure: Sendable {
    /// `YYYY-MM-DD`.
    public let day: String
    /// Empty in a report that tells no kinds apart.
    public let kind: String
    /// nil where the report has no row.
    public let value: Int?
}
