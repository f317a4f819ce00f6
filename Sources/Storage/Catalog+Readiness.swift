/// Whether the database takes what uploads write.
extension Catalog {
    /// What keeps the server of this session from taking anything.
    public enum ReadOnly: Sendable {
        case standby
        /// By its settings.
        case primary
    }

    /// - Returns: nil when it takes what is written.
    public func readOnly() throws -> ReadOnly? {
        try reading {
            let row = try connection.run(
                "SELECT pg_is_in_recovery(), current_setting('transaction_read_only')::boolean"
            ).first!
            return row.bool(0) ? .standby : row.bool(1) ? .primary : nil
        }
    }

    /// Commits something of some bytes that stands in no table: it returns when the disk has it, and each standby that
    /// the server waits for.
    public func commitNothing() throws {
        try connection.run("SELECT pg_logical_emit_message(true, 'shacache', 'ready')")
    }
}
