import Postgres

/// The statements that make records of rows.
struct JournalFacts {
    let session: Session
    private var connection: Connection { session.connection }

    init(_ session: Session) { self.session = session }

    /// Of a row of `entry`: what `JournalRecords.add` takes.
    static func columns(ofEntry row: SQL) -> SQL { "row_to_json(\(row)), (\(row)).account_id, (\(row)).signer_id" }

    /// What accounts and signers are, by their numbers.
    func describe(_ names: JournalRecords.Names) throws -> JournalRecords {
        try accounts(
            where: "id = ANY(\(names.accounts.map(String.init))::bigint[])",
            and: "id = ANY(\(names.signers.map(String.init))::bigint[])")
    }

    func named(account name: String) throws -> JournalRecords { try accounts(where: "name = \(name)", and: "false") }

    func named(signer name: String) throws -> JournalRecords { try accounts(where: "false", and: "name = \(name)") }

    private func accounts(where accounts: SQL, and signers: SQL) throws -> JournalRecords {
        var records = JournalRecords()
        let account: SQL = "(SELECT row_to_json(shown) FROM (SELECT id, name, comment, created_at) AS shown)"
        for row in try connection.run("SELECT \(account), id FROM shacache.account WHERE \(accounts) ORDER BY id") {
            records.add(.account, row)
        }
        for row in try connection.run(
            "SELECT row_to_json(signer), NULL, id FROM shacache.signer WHERE \(signers) ORDER BY id")
        {
            records.add(.signer, row, hasSigner: true)
        }
        return records
    }

    func entry(_ id: Int) throws -> JournalRecords {
        try entries(where: "id = \(id)")
    }

    func entries(where condition: SQL) throws -> JournalRecords {
        var records = JournalRecords()
        let columns = Self.columns(ofEntry: "entry")
        for row in try connection.run("SELECT \(columns) FROM shacache.entry WHERE \(condition) ORDER BY id") {
            records.add(.entry, row, hasSigner: true)
        }
        return records
    }

    func withdrawal(_ number: Withdrawal.Number) throws -> JournalRecords {
        var records = JournalRecords()
        let rows = try connection.run(
            "SELECT row_to_json(withdrawal), account_id FROM shacache.withdrawal WHERE id = \(number)")
        for row in rows { records.add(.withdrawal, row) }
        return records
    }

    /// What a withdrawal hides.
    func hidden(by number: Withdrawal.Number) throws -> JournalRecords {
        var records = JournalRecords()
        let blobs = try connection.run(
            """
            SELECT (SELECT row_to_json(told) FROM (SELECT withdrawal_id AS withdrawal, blob) AS told), account_id
            FROM shacache.blob WHERE withdrawal_id = \(number)
            """)
        for row in blobs { records.add(.hidden, row) }
        var last = 0
        while true {
            let entries = try connection.run(
                "SELECT id FROM shacache.entry WHERE withdrawal_id = \(number) AND id > \(last) ORDER BY id LIMIT \(Self.page)"
            ).map { $0.int(0)! }
            guard let highest = entries.last else { return records }
            records.add(.hidden, withdrawal: number, entries: entries)
            last = highest
        }
    }

    /// What comes in one answer, and goes into one record.
    static let page = 1000
}

extension JournalRecords {
    mutating func add(_ kind: JournalKind, withdrawal: Withdrawal.Number, entries: [Int]) {
        add(kind, json: "{\"withdrawal\":\(withdrawal),\"entries\":\(entries)}")
    }

    /// Entries that are gone for good; their numbers, which no others will have.
    mutating func add(removed entries: [Int]) { add(.removed, json: "{\"entries\":\(entries)}") }
}

extension Session {
    /// A transaction whose records are durable in the journal when this returns: what it stores, withdraws and shows again,
    /// it notes.
    ///
    /// - Throws: `NotJournaled` when it is committed all the same; what `body` threw.
    func journaling<Result>(in files: LocalBlobs, _ body: () throws -> Result) throws -> Result {
        let result: Result
        let records: JournalRecords
        do {
            noted = JournalRecords()
            defer { noted = nil }
            result = try connection.transaction(body)
            records = noted!
        }
        try Journal(in: files).append(records, self)
        return result
    }

    /// In such a transaction, whatever else there is to be undone with it.
    func note(_ records: JournalRecords) {
        precondition(noted != nil, "what only the database knows is changed without its journal")
        noted!.add(records)
    }
}
