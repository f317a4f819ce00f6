import Postgres

/// Reads the reports.
public struct Reports {
    let session: Session

    public init(_ session: Session) { self.session = session }

    /// Calls `body` with the rows of a report, a batch at a time, so that a long one fits into memory.
    ///
    /// - Parameter settings: those that the report obeys; an account that doesn't exist is an error.
    /// - Parameter limit: nil is all rows.
    /// - Parameter asJSON: one column that holds each row as a JSON object.
    public func read(
        _ report: Report, asking settings: [ReportFilter: String], limit: Int?, asJSON: Bool,
        _ body: (Table) throws -> Void
    ) throws {
        try transaction(asking: settings) {
            let columns = asJSON ? "row_to_json(answer)" : "*"
            try session.connection.runScript(
                """
                DECLARE answer NO SCROLL CURSOR FOR
                SELECT \(columns) FROM report."\(report.name)" AS answer LIMIT \(limit.map { "\($0)" } ?? "ALL")
                """)
            var rows: Rows
            repeat {
                rows = try session.connection.run("FETCH 1000 FROM answer")
                try body(Table(rows))
            } while rows.count > 0
        }
    }

    /// Calls `body` in a transaction whose reports obey these settings; an account that doesn't exist is an error.
    func transaction<Result>(asking settings: [ReportFilter: String], _ body: () throws -> Result) throws -> Result {
        if let account = settings[.account] { _ = try Accounts(session).id(of: account) }
        return try session.connection.transaction {
            try session.connection.run("SET TRANSACTION READ ONLY")
            for setting in ReportFilter.allCases {
                try session.connection.run(
                    "SELECT set_config(\("report.\(setting)"), \(settings[setting] ?? ""), true)")
            }
            return try body()
        }
    }
}
