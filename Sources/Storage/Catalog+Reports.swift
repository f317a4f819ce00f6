import Postgres

/// A view of the schema `report`.
public struct Report: Sendable {
    public let name: String
    /// Which question it answers; the view's comment.
    public let question: String
    /// What it can be asked for; else the answer would be to another question than was asked.
    public let settings: Set<Setting>

    public enum Setting: String, CaseIterable, Sendable {
        /// The first and the last day, in UTC, as `YYYY-MM-DD`.
        case since, until
        /// By its name.
        case account
    }
}

extension Catalog {
    /// All reports, by name. What each can be asked for follows from what its definition reads.
    public func reports() throws -> [Report] {
        try connection.run(
            """
            WITH RECURSIVE used (name, id) AS (
                SELECT relname, oid FROM pg_class WHERE relnamespace = 'report'::regnamespace AND relkind = 'v'
                UNION
                SELECT used.name, pg_depend.refobjid
                FROM used JOIN pg_rewrite ON ev_class = used.id
                JOIN pg_depend ON classid = 'pg_rewrite'::regclass AND objid = pg_rewrite.oid
            )
            SELECT relname, coalesce(obj_description(oid, 'pg_class'), ''),
                EXISTS (SELECT FROM used WHERE name = relname AND id = 'report.since()'::regprocedure),
                EXISTS (SELECT FROM used WHERE name = relname AND id = 'report.until()'::regprocedure),
                EXISTS (SELECT FROM used WHERE name = relname AND id = 'report.account()'::regprocedure)
            FROM pg_class WHERE relnamespace = 'report'::regnamespace AND relkind = 'v' ORDER BY relname
            """
        ).map { row in
            let settings = zip(Report.Setting.allCases, 2...).filter { row.bool($0.1) }.map(\.0)
            return Report(name: row.text(0)!, question: row.text(1)!, settings: Set(settings))
        }
    }

    /// Calls `body` with the rows of a report, a batch at a time, so that a long one fits into memory.
    ///
    /// - Parameter settings: those that the report obeys; an account that doesn't exist is an error.
    /// - Parameter limit: nil is all rows.
    /// - Parameter asJSON: one column that holds each row as a JSON object.
    public func read(
        _ report: Report, asking settings: [Report.Setting: String], limit: Int?, asJSON: Bool,
        _ body: (Table) throws -> Void
    ) throws {
        try whileAsking(settings) {
            let columns = asJSON ? "row_to_json(answer)" : "*"
            // Its name stands in the catalog of the database, where nobody but the owner puts one.
            try connection.runScript(
                """
                DECLARE answer NO SCROLL CURSOR FOR
                SELECT \(columns) FROM report."\(report.name)" AS answer LIMIT \(limit.map { "\($0)" } ?? "ALL")
                """)
            var rows: Rows
            repeat {
                rows = try connection.run("FETCH 1000 FROM answer")
                try body(Table(rows))
            } while rows.count > 0
        }
    }

    /// Calls `body` in a transaction whose reports obey these settings; an account that doesn't exist is an error.
    func whileAsking<Result>(_ settings: [Report.Setting: String], _ body: () throws -> Result) throws -> Result {
        if let account = settings[.account] { _ = try Accounts(session).id(of: account) }
        return try connection.transaction {
            try connection.run("SET TRANSACTION READ ONLY")
            for setting in Report.Setting.allCases {
                try connection.run("SELECT set_config(\("report.\(setting)"), \(settings[setting] ?? ""), true)")
            }
            return try body()
        }
    }
}
