import Postgres
import ShaCache

/// What a rebuild made, and what it could not know.
public struct RebuildSummary: Encodable {
    /// A file of the journal in which something could not be read.
    public struct DamagedFile: Encodable {
        public let name: String
        /// Each of one record, or of several in a compressed file.
        public let places: Int
        /// It ends in the middle of a record, which was not acknowledged.
        public let isTorn: Bool

        private enum CodingKeys: String, CodingKey {
            case name, places
            case isTorn = "is_torn"
        }
    }

    public let damaged: [DamagedFile]
    public private(set) var accounts = 0
    /// Whose names the journal doesn't have.
    public private(set) var unknownAccounts = 0
    public private(set) var signers = 0
    public private(set) var entries = 0
    public private(set) var hiddenEntries = 0
    /// That had the number of another, and stand behind all now.
    public private(set) var renumberedEntries = 0
    public private(set) var withdrawals = 0
    /// Of entries, not lifted, and of which the journal doesn't say what they hide.
    public private(set) var emptyWithdrawals: [Int] = []
    public private(set) var blobs = 0
    public private(set) var hiddenBlobs = 0
    /// In bytes, of all blobs.
    public private(set) var bytes = 0

    init(damaged: [DamagedFile]) { self.damaged = damaged }

    private enum CodingKeys: String, CodingKey {
        case damaged, accounts, signers, entries, withdrawals, blobs, bytes
        case unknownAccounts = "unknown_accounts"
        case hiddenEntries = "hidden_entries"
        case renumberedEntries = "renumbered_entries"
        case emptyWithdrawals = "empty_withdrawals"
        case hiddenBlobs = "hidden_blobs"
    }

    /// In the transaction that made it all.
    mutating func count(_ connection: Connection) throws {
        let row = try connection.run(
            """
            SELECT
                (SELECT count(*) FROM shacache.account),
                (SELECT count(*) FROM shacache.account WHERE name = 'unknown-' || id),
                (SELECT count(*) FROM shacache.signer),
                (SELECT count(*) FROM shacache.entry),
                (SELECT count(*) FROM shacache.entry WHERE withdrawal_id IS NOT NULL),
                (SELECT count(DISTINCT (key, digest)) FROM pg_temp.conflict),
                (SELECT count(*) FROM shacache.withdrawal),
                (SELECT count(*) FROM shacache.blob),
                (SELECT count(*) FROM shacache.blob WHERE withdrawal_id IS NOT NULL),
                (SELECT coalesce(sum(size), 0)::bigint FROM shacache.blob)
            """
        ).first!
        let number = { (column: Int) in row.int(column)! }
        (accounts, unknownAccounts, signers) = (number(0), number(1), number(2))
        (entries, hiddenEntries, renumberedEntries) = (number(3), number(4), number(5))
        (withdrawals, blobs, hiddenBlobs, bytes) = (number(6), number(7), number(8), number(9))
        emptyWithdrawals = try connection.run(
            """
            SELECT id FROM shacache.withdrawal
            WHERE target = 'entries' AND lifted_at IS NULL AND NOT is_retention
                AND NOT EXISTS (SELECT FROM shacache.entry WHERE withdrawal_id = withdrawal.id)
                AND NOT EXISTS (SELECT FROM pg_temp.hiding WHERE withdrawal_id = withdrawal.id)
            ORDER BY id LIMIT 100
            """
        ).map { $0.int(0)! }
    }

    /// For people.
    public var sentence: String {
        """
        \(entries) entries (\(hiddenEntries) withdrawn), \(blobs) blobs (\(hiddenBlobs) withdrawn; \(sizeText(bytes))), \
        \(withdrawals) withdrawals, \(accounts) accounts, \(signers) signers
        """
    }

    /// For the audit.
    var detail: String { sentence }

    /// What an operator must look at, or do.
    public var remarks: [String] {
        var remarks = damaged.map { file in
            let places = file.places == 0 ? "" : "damaged in \(file.places) places: what stood there is lost"
            let end = file.isTorn ? "ends in the middle of a record, which was not acknowledged" : ""
            return "journal/\(file.name): " + [places, end].filter { !$0.isEmpty }.joined(separator: "; ")
        }
        if unknownAccounts > 0 { remarks.append("\(unknownAccounts) accounts have lost their names: unknown-N") }
        if renumberedEntries > 0 {
            remarks.append(
                "\(renumberedEntries) entries had numbers that others had too, and stand behind all others now")
        }
        for number in emptyWithdrawals {
            remarks.append("withdrawal \(number): what it hid is not known: what it was to hide may be visible")
        }
        return remarks
    }

    /// What is in no journal.
    public static let unknown = [
        "accounts are disabled, and have no certificates: issue them, then enable the accounts",
        "roles, key prefixes and limits of accounts are the defaults: set them before",
        "a blob belongs to the account of the first entry that names it, or to `rebuilt`; only operators can withdraw it",
        "pins are gone: make them again before collections are enabled; what retention policies hid is visible again",
        "the record of uploads, downloads, audit, surveys and imports begins anew",
    ]
}
