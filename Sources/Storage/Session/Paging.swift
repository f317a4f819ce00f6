import Postgres

extension Session {
    /// Goes through many rows in the order of their positions, a page at a time: little memory is needed, and no
    /// transaction stays open. Rows that come meanwhile behind the last position are met, too.
    ///
    /// - Parameters:
    ///   - start: the first page begins behind it.
    ///   - page: the statement for the first rows behind a position.
    ///   - body: takes a row, and returns its position.
    func forEachRow<Position>(
        after start: Position, page: (Position) -> SQL, _ body: (ResultRow) throws -> Position
    ) throws {
        var last: Position? = start
        while let position = last {
            last = nil
            for row in try connection.run(page(position)) { last = try body(row) }
        }
    }
}
