import Postgres

/// Entries by their numbers, a bit each: so that a statement knows them whose work PostgreSQL shares among parallel workers,
/// which read no temporary tables.
struct EntrySet {
    private let first: Int
    private let last: Int
    private var bits: [UInt8]
    private var isEmpty = true

    /// - Parameter numbers: between which all are that it may hold.
    init(within numbers: ClosedRange<Int>) {
        (first, last) = (numbers.lowerBound, numbers.upperBound)
        bits = Array(repeating: 0, count: numbers.count / 8 + 1)
    }

    /// One that came since the range was known is left out.
    mutating func insert(_ number: Int) {
        guard first...last ~= number else { return }
        bits[(number - first) / 8] |= 1 << UInt8((number - first) % 8)
        isEmpty = false
    }

    /// The condition for rows of `entry`.
    var contains: SQL {
        // get_bit fails outside of the bits.
        isEmpty
            ? "false"
            : "CASE WHEN entry.id BETWEEN \(first) AND \(last) THEN get_bit(\(bits)::bytea, entry.id - \(first)) = 1 ELSE false END"
    }
}
