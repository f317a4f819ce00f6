import Postgres

extension Catalog {
    /// What a report of days says of each of them, from the first that it has to the last, with none left out: one row
    /// for a day and kind, by kind and day.
    public struct ReportDay: Sendable {
        /// `YYYY-MM-DD`.
        public let day: String
        /// Empty in a report that tells no kinds apart.
        public let kind: String
        /// nil where the report has no row.
        public let value: Int?
    }

    /// What is asked of each day.
    public struct DailyFigure: Sendable {
        /// The report that has it, by its name.
        public let report: String
        /// A column whose values are added up; nil counts rows.
        public let measure: String?
        /// The column that holds the day, or else a point in time.
        public let day: String
        /// Whether the report has a column `kind`.
        public let hasKinds: Bool

        public init(report: String, measure: String?, day: String = "day", hasKinds: Bool = false) {
            self.report = report
            self.measure = measure
            self.day = day
            self.hasKinds = hasKinds
        }

        // Names of the schema, not of anybody's choice.
        fileprivate var view: SQL { SQL(stringLiteral: "report.\"\(report)\"") }
        fileprivate var kind: SQL { hasKinds ? "kind" : "''" }
        fileprivate var value: SQL { measure.map { SQL(stringLiteral: "sum(\"\($0)\")") } ?? "count(*)" }
        fileprivate var date: SQL {
            day == "day" ? "day" : SQL(stringLiteral: "(\"\(day)\" AT TIME ZONE 'UTC')::date")
        }
    }

    /// - Parameters:
    ///   - settings: those that the report obeys; an account that doesn't exist is an error.
    ///   - most: days, counted back from the last.
    public func days(of figure: DailyFigure, asking settings: [Report.Setting: String], most: Int) throws -> [ReportDay]
    {
        try whileAsking(settings) {
            try connection.run(
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
        }.map { ReportDay(day: $0.text(0)!, kind: $0.text(1)!, value: $0.int(2)) }
    }
}
