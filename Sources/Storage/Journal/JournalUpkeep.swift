import Glibc
import OpenSSL
import Postgres

/// Writes to the journal what it lacks and the database has: what was stored before there was a journal, and what a crash
/// kept from it behind its COMMIT. It reads the journal, and compares. Uploads may go on meanwhile: what they are about to
/// write may then be there twice, which is harmless.
public struct JournalUpkeep {
    private let files: LocalBlobs
    private let session: Session
    private var connection: Connection { session.connection }
    private var facts: JournalFacts { JournalFacts(session) }

    public init(of files: LocalBlobs, _ session: Session) {
        self.files = files
        self.session = session
    }

    /// What was written.
    public struct Added: Encodable {
        public fileprivate(set) var entries = 0
        public fileprivate(set) var withdrawals = 0
        public fileprivate(set) var accounts = 0
        public fileprivate(set) var signers = 0
    }

    /// - Parameter days: only what came since so many days; nil: all. All takes as long as reading the whole journal.
    /// - Throws: `NotJournaled`; `StoreError` or `DatabaseError`.
    public func addLacking(days: Int? = nil) throws -> Added {
        let known = try read(days: days)
        var added = Added()
        let lacking = try lackingNames(known)
        try Journal(in: files).append(facts.describe(lacking), session)
        (added.accounts, added.signers) = (lacking.accounts.count, lacking.signers.count)
        try addEntries(lackingIn: known, days, &added)
        try addWithdrawals(lackingIn: known, days, &added)
        return added
    }

    private func read(days: Int?) throws -> KnownRecords {
        // A file is as old as its last record, at most; a day more, since clocks differ.
        let oldest = days.map { Int(time(nil)) - ($0 + 1) * 86_400 } ?? .min
        var known = KnownRecords()
        for name in try Journal.fileNames(in: files) {
            let path = "\(files.journalDirectory)/\(name)"
            var status = stat()
            // It may have been compressed meanwhile; then what it has is written again.
            guard stat(path, &status) == 0, status.st_mtim.tv_sec >= oldest else { continue }
            _ = try JournalReader.read(path) { known.add($0, $1) }
        }
        known.conclude()
        return known
    }

    private func lackingNames(_ known: KnownRecords) throws -> JournalRecords.Names {
        var names = JournalRecords.Names()
        for row in try connection.run("SELECT id FROM shacache.account") where !known.accounts.contains(row.int(0)!) {
            names.accounts.insert(row.int(0)!)
        }
        for row in try connection.run("SELECT id, row_to_json(signer) FROM shacache.signer") {
            if !known.hasRow(.signer, row, 1) { names.signers.insert(row.int(0)!) }
        }
        return names
    }

    private func addEntries(lackingIn known: KnownRecords, _ days: Int?, _ added: inout Added) throws {
        var last = 0
        while true {
            let numbers = try connection.run(
                """
                SELECT id FROM shacache.entry
                WHERE id > \(last) AND created_at >= coalesce(now() - make_interval(days => \(days)), '-infinity')
                ORDER BY id LIMIT \(Self.page)
                """
            ).map { $0.int(0)! }
            guard let highest = numbers.last else { return }
            let lacking = numbers.filter { !known.entries.contains($0) }
            // An entry may have half a megabyte.
            for start in stride(from: 0, to: lacking.count, by: 100) {
                let some = lacking[start..<min(start + 100, lacking.count)].map(String.init)
                try Journal(in: files).append(facts.entries(where: "id = ANY(\(some)::bigint[])"), session)
            }
            added.entries += lacking.count
            last = highest
        }
    }

    private static let page = 10_000

    private func addWithdrawals(lackingIn known: KnownRecords, _ days: Int?, _ added: inout Added) throws {
        let rows = try connection.run(
            """
            SELECT id, row_to_json(withdrawal) FROM shacache.withdrawal
            WHERE greatest(at, lifted_at, removed_at) >= coalesce(now() - make_interval(days => \(days)), '-infinity') ORDER BY id
            """)
        for row in rows {
            let number = row.int(0)!
            let hidden = try facts.hidden(by: number)
            var records = JournalRecords()
            if !known.hasRow(.withdrawal, row, 1) { records.add(try facts.withdrawal(number)) }
            // What it hides doesn't become more.
            if known.hidden[number] == nil { records.add(hidden) }
            records.add(try changes(of: known.hidden[number] ?? [], by: number))
            try Journal(in: files).append(records, session)
            if !records.isEmpty { added.withdrawals += 1 }
        }
    }

    /// Of the entries that a withdrawal hid, those that it hides no more, though it is not lifted, and those that a collection
    /// has removed.
    private func changes(of entries: [Int], by number: Withdrawal.Number) throws -> JournalRecords {
        var records = JournalRecords()
        for start in stride(from: 0, to: entries.count, by: JournalFacts.page) {
            let some = entries[start..<min(start + JournalFacts.page, entries.count)].map(String.init)
            let changed = try connection.run(
                """
                SELECT hidden.id, entry.id IS NULL
                FROM unnest(\(some)::bigint[]) AS hidden (id) LEFT JOIN shacache.entry ON entry.id = hidden.id
                WHERE entry.id IS NULL OR withdrawal_id IS DISTINCT FROM \(number)
                    AND (SELECT lifted_at FROM shacache.withdrawal WHERE withdrawal.id = \(number)) IS NULL
                ORDER BY hidden.id
                """)
            let numbers = { (isRemoved: Bool) in changed.filter { $0.bool(1) == isRemoved }.map { $0.int(0)! } }
            let (shown, removed) = (numbers(false), numbers(true))
            if !shown.isEmpty { records.add(.shown, withdrawal: number, entries: shown) }
            if !removed.isEmpty { records.add(removed: removed) }
        }
        return records
    }
}

/// What the journal has.
private struct KnownRecords {
    private(set) var accounts: Set<Int> = []
    private(set) var entries = NumberSet()
    /// By each withdrawal; of entries their numbers, but for those that were shown again or removed; of a blob none.
    private(set) var hidden: [Int: [Int]] = [:]
    private var shown: [Int: Set<Int>] = [:]
    private var removed = NumberSet()
    /// Of rows of signers and withdrawals, in each of their states: hashes of eight bytes.
    private var rows: Set<UInt64> = []

    mutating func add(_ kind: JournalKind, _ value: ArraySlice<UInt8>) {
        switch kind {
        case .account: number("{\"id\":", value).map { _ = accounts.insert($0) }
        case .entry: number("{\"id\":", value).map { entries.insert($0) }
        case .signer, .withdrawal: rows.insert(Self.hash(kind, value))
        case .hidden:
            guard let withdrawal = number("{\"withdrawal\":", value) else { return }
            hidden[withdrawal, default: []] += numbers(value)
        case .shown:
            guard let withdrawal = number("{\"withdrawal\":", value) else { return }
            shown[withdrawal, default: []].formUnion(numbers(value))
        case .removed: for number in numbers(value) { removed.insert(number) }
        case .header: break
        }
    }

    /// When all is read.
    mutating func conclude() {
        for (withdrawal, entries) in shown { hidden[withdrawal]?.removeAll(where: entries.contains) }
        for withdrawal in hidden.keys { hidden[withdrawal]?.removeAll(where: removed.contains) }
    }

    /// Those of entries.
    private func numbers(_ value: ArraySlice<UInt8>) -> [Int] {
        let text = String(decoding: value, as: UTF8.self)
        guard let list = text.firstMatch(of: /"entries":\[([0-9, ]*)\]/)?.1 else { return [] }
        return list.split(separator: ", ").compactMap { Int($0) }
    }

    func hasRow(_ kind: JournalKind, _ row: ResultRow, _ column: Int) -> Bool {
        row.withBytes(column) { rows.contains(Self.hash(kind, Array($0)[...])) }
    }

    /// - Parameter prefix: with which each such value begins.
    private func number(_ prefix: String, _ value: ArraySlice<UInt8>) -> Int? {
        guard value.starts(with: prefix.utf8) else { return nil }
        return Int(
            String(decoding: value.dropFirst(prefix.utf8.count).prefix { (48...57).contains($0) }, as: UTF8.self))
    }

    private static func hash(_ kind: JournalKind, _ value: ArraySlice<UInt8>) -> UInt64 {
        Hash.digest(.sha256, of: Array(kind.rawValue.utf8) + value).prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
    }
}

/// Numbers of rows, most of which follow each other: a bit each.
private struct NumberSet {
    private static let chunk = 1 << 16
    private var chunks: [Int: [UInt64]] = [:]

    mutating func insert(_ number: Int) {
        let (chunk, bit) = number.quotientAndRemainder(dividingBy: Self.chunk)
        chunks[chunk, default: Array(repeating: 0, count: Self.chunk / 64)][bit / 64] |= 1 << UInt64(bit % 64)
    }

    func contains(_ number: Int) -> Bool {
        let (chunk, bit) = number.quotientAndRemainder(dividingBy: Self.chunk)
        return chunks[chunk].map { $0[bit / 64] & 1 << UInt64(bit % 64) != 0 } ?? false
    }
}
