import Postgres

/// What was done for the record of uploads, as dates: a month is its first day.
public struct Upkeep: Sendable {
    public let monthsMade: [String]
    public let daysClosed: [String]
    public let monthsDropped: [String]
}

extension Catalog {
    /// Makes partitions ahead, adds up the days that are over, and drops months. What was done before isn't done again,
    /// and of two calls at once the second waits. Each step stands by itself: what was done stays when the next fails.
    ///
    /// - Parameter months: how many before the current one are kept; nil keeps all.
    /// - Throws: `DatabaseError` of kind `rejected`, SQLSTATE 55P03, when a report holds what is to be changed.
    public func maintainRecord(keeping months: Int?) throws -> Upkeep {
        Upkeep(
            monthsMade: try dates(of: "SELECT shacache.make_upload_months()"),
            daysClosed: try dates(of: "SELECT shacache.close_upload_days()"),
            monthsDropped: try months.map { try dates(of: "SELECT shacache.drop_upload_months(\($0))") } ?? [])
    }

    private func dates(of statement: SQL) throws -> [String] { try connection.run(statement).map { $0.text(0)! } }
}
