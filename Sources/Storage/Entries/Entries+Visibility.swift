import Postgres
public import ShaCache

extension Entries {
    /// Which keys have visible entries.
    ///
    /// - Parameter keys: any number; one statement asks for all.
    /// - Returns: for each whether it has at least one entry that isn't withdrawn.
    public func areVisible(_ keys: [Key]) throws -> [Bool] {
        let texts = keys.map(\.text)
        let rows = try session.reading {
            // Limited to one row, a key costs an index lookup, whatever is listed under it, and no plan reads all entries.
            try session.connection.run(
                """
                SELECT number FROM unnest(\(texts)::text[]) WITH ORDINALITY AS asked (key, number)
                CROSS JOIN LATERAL (
                    SELECT FROM shacache.entry WHERE entry.key = asked.key AND withdrawal_id IS NULL LIMIT 1
                ) AS visible
                """)
        }
        var areVisible = keys.map { _ in false }
        for row in rows { areVisible[row.int(0)! - 1] = true }
        return areVisible
    }
}
