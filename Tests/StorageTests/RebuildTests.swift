import Fixtures
import Foundation
import OpenSSL
import Postgres
import ShaCache
import System
import Testing

@testable import Storage

/// A database that was lost, made again from the store and its journal.
struct RebuildTests {
    private let store: TestStore
    private let database: TestDatabase
    private let (worker, admin): (Session, Session)
    private let (alice, bob): (Account, Account)

    init() throws {
        store = try TestStore()
        database = try TestDatabase()
        (worker, admin) = (database.session(), database.session(as: "shacache_admin"))
        alice = try database.addAccount("alice", comment: "builds") { $0.roles.insert(.withdraw) }
        bob = try database.addAccount("bob") { $0.roles.insert(.withdraw) }
    }

    private var adminEntries: Entries { Entries(admin, in: store.files) }
    private var operators: Withdrawal { Withdrawal(by: "tester", reason: Reason("why")!) }

    private func put(_ note: String, under key: String, by account: Account? = nil, in files: TestStore? = nil) throws {
        try list(note, under: key, by: account ?? alice, in: worker, store: files ?? store)
    }

    /// Another process's view of the same store: it has a journal file of its own.
    private func anotherProcess() -> LocalBlobs { LocalBlobs(directory: store.directory.path) }

    /// What a GET of each key answers.
    private func lists(_ database: TestDatabase, _ keys: [String]) throws -> [String?] {
        try keys.map { key in
            try Entries(database.session(), in: store.files).list(of: Key(key)).map {
                String(decoding: $0, as: UTF8.self)
            }
        }
    }

    private func rebuilt() throws -> (database: TestDatabase, summary: RebuildSummary) {
        let new = try TestDatabase()
        return (new, try Rebuild(of: store.files, new.session(as: "shacache_owner")).run(by: "tester"))
    }

    /// As an operator enables it again.
    private func enabledAlice(in new: TestDatabase) throws -> Account {
        try new.accounts.setEnabled(true, "alice", by: "tester")
        return try #require(try Identities(new.session()).enabledAccount(named: "alice"))
    }

    private func count(_ sql: SQL, in database: TestDatabase) throws -> Int {
        try #require(try database.connection().run(sql).first?.int(0))
    }

    /// What is kept beside entries and blobs, as `check` counts it.
    private func expectRightSums(_ database: TestDatabase) throws {
        let admin = database.session(as: "shacache_admin")
        var wrong: [String] = []
        try EntryCounts(admin).forEachDifferingKey(isRepairing: false) { wrong.append($0.key) }
        try EntryCounts(admin).forEachDifferingNote(isRepairing: false) { wrong.append("\($0.entry)") }
        #expect(wrong.isEmpty)
        #expect(try AccountUsage(admin).compare().isRight)
    }

    /// Fails when Rebuild inserts entries in the order of the files: without `OVERRIDING SYSTEM VALUE`, with numbers of their
    /// own.
    @Test func `entries of several processes come back in the order of the database`() throws {
        let other = anotherProcess()
        for number in 0..<20 {
            let entry = try Entry(
                body: Array(
                    "[\"{\\\"sha512\\\": \\\"\(String(repeating: "c", count: 128))\\\", \\\"n\\\": \(number)}\", \"\"]"
                        .utf8))
            var upload = UploadRecord.of(number % 3 == 0 ? bob : alice, target: .entry)
            (upload.key, upload.sha512, upload.bytes, upload.signatureResult) = (
                try Key("k"), entry.sha512, 1, .unsigned
            )
            let limits = KeyLimits(entries: 100, bytes: 1 << 20, entriesPerAccount: 100)
            try Entries(worker, in: number % 2 == 0 ? store.files : other).store(
                entry, under: Key("k"), upload: upload, limits: limits)
        }
        #expect(try Journal.fileNames(in: store.files).count == 2)
        let before = try lists(database, ["k"])
        let (new, summary) = try rebuilt()
        #expect(try lists(new, ["k"]) == before)
        #expect(summary.entries == 20 && summary.accounts == 3 && summary.remarks.isEmpty)
        try expectRightSums(new)
    }

    /// Fails when Rebuild goes by the first withdrawal, or without its `shown` records, or takes lifted ones.
    @Test func `what is withdrawn stays hidden, and what was shown again is seen`() throws {
        let keys = ["hidden", "lifted", "again", "twice", "all"]
        for key in keys { for note in ["a", "b"] { try put(note, under: key) } }
        let own = Withdrawal(by: alice, reason: Reason("mine")!)
        _ = try adminEntries.withdraw(under: Key("hidden"), naming: nil, operators)
        let lifted = try adminEntries.withdraw(under: Key("lifted"), naming: nil, operators).number
        _ = try BlobRepository(store.files, admin).lift(lifted, by: "tester")
        // One of two comes back, by another account.
        _ = try Entries(worker, in: store.files).withdraw(under: Key("again"), naming: nil, own)
        try put("a", under: "again", by: bob)
        // An operator's withdrawal takes the place of the account's own, and is lifted.
        _ = try Entries(worker, in: store.files).withdraw(under: Key("twice"), naming: nil, own)
        let second = try adminEntries.withdraw(under: Key("twice"), naming: nil, operators).number
        _ = try BlobRepository(store.files, admin).lift(second, by: "tester")
        let third = try adminEntries.withdraw(under: Key("all"), naming: nil, operators).number
        _ = try BlobRepository(store.files, admin).lift(third, by: "tester")
        _ = try adminEntries.withdraw(under: Key("all"), naming: nil, operators)

        let before = try lists(database, keys)
        #expect(before.map { $0?.count ?? 0 > 2 } == [false, true, true, true, false])
        let (new, summary) = try rebuilt()
        #expect(try lists(new, keys) == before)
        #expect(summary.hiddenEntries == 5 && summary.remarks.isEmpty)
        // What hid it has no number of its own any more: those of the entries would come twice.
        #expect(try count("SELECT count(*) FROM shacache.visibility_change", in: new) == 0)
        let alice = try enabledAlice(in: new)
        // The same is refused as before, with the reason.
        #expect(throws: Refusal.self) { try list("a", under: "hidden", by: alice, in: new.session(), store: store) }
        // And new numbers follow the old ones.
        let highest = try count("SELECT max(id) FROM shacache.entry", in: database)
        try list("new", under: "hidden", by: alice, in: new.session(), store: store)
        #expect(try count("SELECT max(id) FROM shacache.entry", in: new) == highest + 1)
        let withdrawals = try count("SELECT max(id) FROM shacache.withdrawal", in: database)
        let admin = new.session(as: "shacache_admin")
        let next = try Entries(admin, in: store.files).withdraw(under: Key("lifted"), naming: nil, operators).number
        #expect(next == withdrawals + 1)
    }

    /// Fails when Rebuild.makeBlobs makes a row of what is withdrawn as if it were visible.
    @Test func `blobs come back from their files, and withdrawn ones stay so`() throws {
        for text in ["seen", "hidden", "lifted", "lost"] { try store.put(text, by: alice, in: worker) }
        let digest = { (text: String) in Digest(bytes: Hash.digest(.sha512, of: text.utf8)) }
        try list("1", under: "k", by: bob, naming: digest("seen"), in: worker, store: store)
        let blobs = BlobRepository(store.files, admin)
        _ = try blobs.withdraw(digest("hidden"), operators)
        _ = try blobs.withdraw(digest("lost"), operators)
        let number = try blobs.withdraw(digest("lifted"), operators).number
        _ = try blobs.lift(number, by: "tester")
        #expect(unlink("\(store.directory.path)/withdrawn/\(digest("lost"))") == 0)
        // Of which the journal knows nothing.
        let found = String(repeating: "a", count: 128)
        #expect(
            FileManager.default.createFile(
                atPath: "\(store.directory.path)/withdrawn/\(found)", contents: Data("x".utf8)))

        let (new, summary) = try rebuilt()
        #expect((summary.blobs, summary.hiddenBlobs, summary.bytes) == (5, 3, 4 + 6 + 6 + 4 + 1))
        let again = BlobRepository(store.files, new.session())
        #expect(try ["seen", "hidden", "lifted", "lost"].map { try again.size(of: digest($0)) } == [4, nil, 6, nil])
        #expect(again.reconcile().isEmpty)
        let alice = try enabledAlice(in: new)
        // The name of one without a file is blocked as well.
        #expect(throws: Refusal.self) { try store.put("lost", by: alice, in: new.session()) }
        #expect(
            try count(
                """
                SELECT count(*) FROM shacache.blob JOIN shacache.account ON account.id = account_id
                WHERE is_shared AND (name, size) IN (('bob', 4), ('rebuilt', 6))
                """, in: new) == 2)
        try expectRightSums(new)
    }

    @Test func `accounts come back without what they may, and signers with their revocation`() throws {
        let key = try SigningKey()
        let certificate = try key.certificate()
        for name in ["carol", "dave"] {
            let signer = name == "carol" ? certificate : try SigningKey().certificate()
            try Signers(admin).add(name, publicKey: signer.publicKey().der(), certificate: signer.pem(), by: "tester")
        }
        let carol = try count("SELECT id FROM shacache.signer WHERE name = 'carol'", in: database)
        try list("1", under: "k", by: alice, result: .verified(carol), in: worker, store: store)
        _ = try Signers(admin).revoke("carol", since: 4_000_000_000, by: "tester", in: store.files)
        // Who has put nothing is written by the upkeep.
        #expect(try JournalUpkeep(of: store.files, admin).addLacking().signers == 1)

        let (new, _) = try rebuilt()
        for columns: SQL in ["id, name, comment, created_at"] {
            let rows = { (database: TestDatabase) in
                try database.connection().run(
                    "SELECT \(columns) FROM shacache.account WHERE name <> 'rebuilt' ORDER BY id"
                )
                .map { row in (0..<4).map { row.text($0) } }
            }
            #expect(try rows(new) == rows(database))
        }
        #expect(try count("SELECT count(*) FROM shacache.account WHERE disabled_at IS NULL", in: new) == 0)
        let signers: SQL = "SELECT row_to_json(signer) FROM shacache.signer ORDER BY id"
        #expect(
            try new.connection().run(signers).map { $0.text(0) }
                == database.connection().run(signers).map { $0.text(0) })
        #expect(try Identities(new.session()).enabledAccount(named: "alice") == nil)
    }

    /// Fails without requireEmpty.
    @Test func `a database that isn't empty is left alone`() throws {
        try put("a", under: "k")
        #expect(throws: RebuildError.self) {
            try Rebuild(of: store.files, database.session(as: "shacache_owner")).run(by: "tester")
        }
        #expect(try count("SELECT count(*) FROM shacache.entry", in: database) == 1)
    }

    /// As a killed worker leaves it, or a release that had no journal. Fails without JournalUpkeep.addEntries,
    /// addWithdrawals or shown.
    @Test func `the upkeep writes what the journal lacks, and nothing twice`() throws {
        for note in ["a", "b"] { try put(note, under: "k", in: anyStore()) }
        _ = try Entries(worker, in: anyStore().files).withdraw(
            under: Key("k"), naming: nil, Withdrawal(by: alice, reason: Reason("mine")!))
        let upkeep = JournalUpkeep(of: store.files, admin)
        let added = try upkeep.addLacking()
        #expect((added.entries, added.withdrawals, added.accounts) == (2, 1, 2))
        // Shown again by another account, whose worker was killed.
        try put("a", under: "k", by: bob, in: anyStore())
        #expect(try upkeep.addLacking(days: 2).withdrawals == 1)
        for days in [2, nil] {
            let nothing = try upkeep.addLacking(days: days)
            #expect((nothing.entries, nothing.withdrawals, nothing.accounts, nothing.signers) == (0, 0, 0, 0))
        }
        let before = try lists(database, ["k"])
        #expect(before[0]?.contains("a") == true)
        #expect(try lists(rebuilt().database, ["k"]) == before)
    }

    /// Fails when Rebuild reads the entries before it knows what was removed.
    @Test func `what was removed stays so, and its pair has the number that it got later`() throws {
        try put("a", under: "k")
        try put("b", under: "k")
        let first = try count("SELECT min(id) FROM shacache.entry", in: database)
        try database.connection().run("DELETE FROM shacache.entry_before_blob WHERE entry_id = \(first)")
        try database.connection().run("DELETE FROM shacache.entry WHERE id = \(first)")
        var records = JournalRecords()
        records.add(removed: [first])
        try Journal(in: store.files).append(records, worker)
        try put("a", under: "k")
        let before = try lists(database, ["k"])
        #expect(try lists(rebuilt().database, ["k"]) == before)
    }
}
