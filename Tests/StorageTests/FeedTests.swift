import Fixtures
import Foundation
import OpenSSL
import Postgres
import ShaCache
import Storage
import Testing

struct FeedTests {
    private let store: TestStore
    private let database: TestDatabase
    private let worker: Session
    private let alice: Account

    init() throws {
        store = try TestStore()
        database = try TestDatabase()
        worker = database.session()
        try database.accounts.add("alice", comment: "", by: "tester") { $0.roles.insert(.withdraw) }
        alice = try #require(try Identities(worker).enabledAccount(named: "alice"))
    }

    private var admin: Session { database.session(as: "shacache_admin") }
    private var operators: Withdrawal { Withdrawal(by: "tester", reason: Reason("why")!) }

    private func put(_ note: String, under key: String) throws {
        try list(note, under: key, by: alice, in: worker, store: store)
    }

    @discardableResult
    private func withdraw(_ key: String) throws -> WithdrawalResult {
        try Entries(worker, in: store.files).withdraw(under: Key(key), naming: nil, operators)
    }

    private func lift(_ number: Int) throws { _ = try BlobRepository(store.files, admin).lift(number, by: "tester") }

    private func items(after number: Int = 0, most: Int = 1000) throws -> [JSON] {
        try Feed(worker).page(after: number, most: most).lines.split(separator: UInt8(ascii: "\n")).map {
            try JSON(Array($0))
        }
    }

    private func number(of item: JSON) throws -> Int {
        guard case .number(let text) = item["number"] else { return 0 }
        return try #require(Int(text))
    }

    /// What happened, and to which key or blob.
    private func events(after number: Int = 0, most: Int = 1000) throws -> [String] {
        try items(after: number, most: most).map {
            "\($0["event"]!.string!) \($0["key"]?.string ?? String($0["sha512"]!.string!.prefix(4)))"
        }
    }

    @Test func `what is accepted, hidden and shown again comes in its order, each with a number`() throws {
        try put("1", under: "a")
        try put("2", under: "b")
        let withdrawal = try withdraw("a")
        try put("3", under: "c")
        try lift(withdrawal.number)
        #expect(try events() == ["entry a", "entry b", "entry hidden a", "entry c", "entry shown a"])
        let numbers = try items().map { try number(of: $0) }
        #expect(numbers == numbers.sorted() && Set(numbers).count == 5)
        #expect(try events(after: numbers[1]) == ["entry hidden a", "entry c", "entry shown a"])
        #expect(try events(after: numbers[4]).isEmpty)
    }

    /// Fails without `withdrawal_id IS NULL` in the function, and in its join.
    @Test func `what is hidden is not told`() throws {
        try put("secret", under: "a")
        let withdrawal = try withdraw("a")
        try lift(withdrawal.number)
        try withdraw("a")
        #expect(try events() == ["entry hidden a", "entry hidden a"])
        #expect(try !String(decoding: Feed(worker).page(after: 0, most: 9).lines, as: UTF8.self).contains("secret"))
    }

    @Test func `an item has the pair byte for byte, and its name`() throws {
        let key = "a \u{1F600}\" b"
        try put("\\u0000 \u{1F600} \\ud83d", under: key)
        let (item, row) = try (
            #require(items().first),
            #require(
                database.connection().run("SELECT metadata, signature, encode(digest, 'hex') FROM shacache.entry").first
            )
        )
        #expect(item["key"]?.string == key)
        #expect(item["metadata"]?.string == row.text(0) && item["signature"]?.string == row.text(1))
        #expect(item["entry"]?.string == row.text(2))
    }

    @Test func `a blob that is withdrawn and shown again is told, too`() throws {
        try store.put("bytes", by: alice, in: worker)
        let digest = Digest(bytes: Hash.digest(.sha512, of: "bytes".utf8))
        let withdrawal = try BlobRepository(store.files, worker).withdraw(digest, operators)
        try lift(withdrawal.number)
        let name = digest.description.prefix(4)
        #expect(try events() == ["blob hidden \(name)", "blob shown \(name)"])
    }

    /// Fails without either limit in the function.
    @Test func `a page has so many items at most, and ends behind so many bytes`() throws {
        for number in 1...5 { try put("\(number)", under: "k\(number)") }
        let withdrawal = try withdraw("k1")
        try lift(withdrawal.number)
        #expect(try events(most: 3) == ["entry k1", "entry k2", "entry k3"])
        for number in 1...4 { try put(String(repeating: "x", count: 400_000), under: "large \(number)") }
        let page = try items(after: 7)
        #expect(page.count == 3)
        #expect(try items(after: number(of: page[2])).count == 1)
    }

    // MARK: Numbers that are still to be committed

    /// Whoever changes the entries of the key `slow` stands still behind that until the session that is returned ends.
    private func gate(behind change: String) throws -> Connection {
        let gate = database.connection()
        try gate.runScript(
            """
            CREATE FUNCTION shacache.wait() RETURNS trigger LANGUAGE plpgsql AS
                $$BEGIN PERFORM pg_advisory_xact_lock(7, 7); RETURN NULL; END$$;
            CREATE TRIGGER wait AFTER \(change) ON shacache.entry FOR EACH ROW WHEN (NEW.key = 'slow')
                EXECUTE FUNCTION shacache.wait();
            SELECT pg_advisory_lock(7, 7);
            """)
        return gate
    }

    /// What comes of the feed while `action` has its number and isn't committed, and something else is; and then.
    private func events(
        while action: @escaping @Sendable () throws -> Void, stopsBehind change: String
    ) throws -> (during: [String], after: [String]) {
        let gate = try gate(behind: change)
        let finished = DispatchGroup()
        finished.enter()
        Thread {
            #expect(throws: Never.self) { try action() }
            finished.leave()
        }.start()
        try database.waitForSession(where: "wait_event = 'advisory'")
        try put("2", under: "fast")
        let during = try events()
        try gate.run("SELECT pg_advisory_unlock(7, 7)")
        #expect(finished.wait(timeout: .now() + 20) == .success)
        return (during, try events())
    }

    /// Fails without hold_feed in record_entries.
    @Test(.timeLimit(.minutes(15))) func `the feed ends before an entry that may still be committed`() throws {
        try put("0", under: "first")
        let (during, after) = try events(
            while: { [database, store, alice] in
                try list("1", under: "slow", by: alice, in: database.session(), store: store)
            }, stopsBehind: "INSERT")
        #expect(during == ["entry first"])
        #expect(after == ["entry first", "entry slow", "entry fast"])
    }

    /// Fails without change_of_visibility_holds_feed.
    @Test(.timeLimit(.minutes(15))) func `the feed ends before a withdrawal that may still be committed`() throws {
        try put("0", under: "slow")
        let (during, after) = try events(
            while: { [database, store, operators] in
                _ = try Entries(database.session(), in: store.files).withdraw(
                    under: Key("slow"), naming: nil, operators)
            }, stopsBehind: "UPDATE")
        #expect(during == ["entry slow"])
        #expect(after == ["entry hidden slow", "entry fast"])
    }

    /// Fails without `last` in the function. The page stands still behind a lock on the table of its last statement.
    @Test(.timeLimit(.minutes(15))) func `the feed ends before what begins while it is read`() throws {
        try put("0", under: "first")
        let (gate, finished) = (try gate(behind: "INSERT"), DispatchGroup())
        let start = { [database] (action: @escaping @Sendable () throws -> Void, state: SQL) in
            finished.enter()
            Thread {
                #expect(throws: Never.self) { try action() }
                finished.leave()
            }.start()
            try database.waitForSession(where: state)
        }
        let other = database.connection()
        try other.transaction { [database, store, alice] in
            try other.run("LOCK TABLE shacache.visibility_change")
            try start(
                {
                    let page = try Feed(database.session()).page(after: 0, most: 9)
                    #expect(page.lines.split(separator: UInt8(ascii: "\n")).count == 1)
                }, "wait_event = 'relation'")
            try start(
                { try list("1", under: "slow", by: alice, in: database.session(), store: store) },
                "wait_event = 'advisory'")
            try put("2", under: "fast")
        }
        try gate.run("SELECT pg_advisory_unlock(7, 7)")
        #expect(finished.wait(timeout: .now() + 20) == .success)
        #expect(try events() == ["entry first", "entry slow", "entry fast"])
    }

    /// Fails without hold_feed in record_entries.
    @Test(.timeLimit(.minutes(15))) func `a reader who follows has everything once, however many store at a time`()
        throws
    {
        let (writers, each) = (4, 100)
        let finished = DispatchGroup()
        for writer in 1...writers {
            finished.enter()
            Thread { [database, store, alice] in
                let session = database.session()
                for number in 1...each {
                    #expect(throws: Never.self) {
                        try list("\(number)", under: "\(writer)-\(number)", by: alice, in: session, store: store)
                    }
                }
                finished.leave()
            }.start()
        }
        var (seen, last, isLast) = ([String](), 0, false)
        while !isLast {
            isLast = finished.wait(timeout: .now()) == .success
            let page = try items(after: last)
            seen += page.map { $0["key"]!.string! }
            last = try page.last.map { try number(of: $0) } ?? last
        }
        #expect(seen.count == writers * each && Set(seen).count == seen.count)
    }

    // MARK: What numbers mean

    @Test func `operators who look at it have what workers have`() throws {
        try put("1", under: "a")
        let (shown, told) = try (Feed(admin).page(after: 0, most: 9), Feed(worker).page(after: 0, most: 9))
        #expect(shown.lines == told.lines && shown.numbering == told.numbering)
    }
}
