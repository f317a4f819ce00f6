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

    /// - Parameters:
    ///   - measure: a column of the report; its rows of one day and kind are added up.
    ///   - hasKinds: whether it has a column `kind`.
    ///   - settings: those that the report obeys; an account that doesn't exist is an error.
    ///   - most: days, counted back from the last.
    public func days(
        of report: Report, adding measure: String, hasKinds: Bool, asking settings: [Report.Setting: String], most: Int
    ) throws -> [ReportDay] {
        // Names of the schema, not of anybody's choice.
        let (view, column) = (SQL(stringLiteral: "report.\"\(report.name)\""), SQL(stringLiteral: "\"\(measure)\""))
        let kind: SQL = hasKinds ? "kind" : "''"
        return try whileAsking(settings) {
            try connection.run(
                """
                WITH summed AS MATERIALIZED (
                    SELECT day, \(kind) AS kind, sum(\(column))::bigint AS value FROM \(view) GROUP BY 1, 2
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
