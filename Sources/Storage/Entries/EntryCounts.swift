import Postgres

/// What uploads of entries keep beside them, compared with the entries themselves: how many each key has, and which of
/// them came before their blob. `sql/functions/recounting.sql` has the statements.
struct EntryCounts {
    let session: Session

    init(_ session: Session) { self.session = session }

    struct KeyDifference {
        let key: String
        let stored: Int
        let counted: Int
    }

    struct NoteDifference {
        let entry: Int
        let key: String
        /// Though its blob has come. Otherwise it should be.
        let isNoted: Bool
    }

    /// What comes in one answer.
    private static let page = 1000

    /// - Parameter isRepairing: each page is put right before `body` sees it.
    func forEachDifferingKey(isRepairing: Bool, _ body: (KeyDifference) throws -> Void) throws {
        try session.forEachRow(after: "") { last in
            """
            SELECT key, stored_entries, counted_entries FROM shacache.recount_keys(\(last), \(Self.page), \(isRepairing))
            """
        } _: { row in
            let difference = KeyDifference(key: row.text(0)!, stored: row.int(1)!, counted: row.int(2)!)
            try body(difference)
            return difference.key
        }
    }

    /// - Parameter isRepairing: as above.
    func forEachDifferingNote(isRepairing: Bool, _ body: (NoteDifference) throws -> Void) throws {
        try session.forEachRow(after: 0) { last in
            """
            SELECT entry_id, key, is_noted
            FROM shacache.recount_entries_before_blob(\(last), \(Self.page), \(isRepairing))
            """
        } _: { row in
            let difference = NoteDifference(entry: row.int(0)!, key: row.text(1)!, isNoted: row.bool(2))
            try body(difference)
            return difference.entry
        }
    }
}
