import Postgres

/// Entries by their numbers: so that a statement knows them whose work PostgreSQL shares among parallel workers, which read no
/// temporary tables. A bit each, in groups of 64, of which only those are there that have one: its memory follows how many
/// they are, and not how far their numbers go.
struct EntrySet {
    private var groups: [Int: UInt64] = [:]

    mutating func insert(_ number: Int) { groups[number >> 6, default: 0] |= 1 << UInt64(number & 63) }

    /// The condition for rows of `entry`.
    var contains: SQL {
        guard !groups.isEmpty else { return "false" }
        let sorted = groups.sorted { $0.key < $1.key }
        let keys = sorted.map { String($0.key) }
        let numbers: SQL = "\(keys)::bigint[]"
        let bits = sorted.flatMap { group in (0..<8).map { UInt8(truncatingIfNeeded: group.value >> UInt64(8 * $0)) } }
        // By a binary search: the group that begins last at or below it; 0: none does, and so NULL.
        let place: SQL = "width_bucket(entry.id >> 6, \(numbers))"
        // get_bit fails outside of the bits.
        return """
            CASE WHEN (\(numbers))[\(place)] = entry.id >> 6
            THEN get_bit(\(bits)::bytea, (\(place) - 1) * 64::bigint + (entry.id & 63)) = 1 ELSE false END
            """
    }
}
