import Fixtures
import Foundation
import OpenSSL
import Postgres
import ShaCache
import Storage
import Synchronization
import Testing

struct LimitTests {
    private let database: TestDatabase
    private let files: TestStore
    private let admin: Session

    init() throws {
        database = try TestDatabase()
        files = try TestStore()
        admin = database.session(as: "shacache_admin")
    }

    private func account(_ name: String, _ limits: [AccountLimit: Int] = [:]) throws -> Account {
        try database.addAccount(name) { $0.limits = limits }
    }

    private func store(_ text: String, by account: Account, in session: Session? = nil) throws {
        try files.put(text, by: account, in: session ?? database.session())
    }

    private func count(_ sql: SQL) throws -> Int { try #require(try database.connection().run(sql).first?.int(0)) }

    private func stored(_ account: Account) throws -> Int {
        try count("SELECT coalesce(sum(bytes), 0) FROM shacache.account_usage WHERE account_id = \(account.id)")
    }

    private func refusal(_ body: () throws -> Void) -> String? {
        do { try body() } catch let error as Refusal { return error.description } catch { return "\(error)" }
        return nil
    }

    @Test func `a quota is kept to the byte, and what we have already costs nothing`() throws {
        let alice = try account("alice", [.bytes: 10])
        try store("12345678", by: alice)
        #expect(
            refusal { try store("abc", by: alice) }
                == "bytes limit: the account alice may store 10 bytes, has stored 8, and this blob has 3")
        try store("12345678", by: alice)
        try store("ab", by: alice)
        try store("ab", by: account("bob"))
        #expect(try stored(alice) == 10)
        #expect(try AccountUsage(admin).compare().isRight)
    }

    /// Fails when BlobRepository.admit takes a known name for a promise: any body would be received under it.
    @Test func `of a blob that is known, no body of another size is received`() throws {
        let alice = try account("alice", [.bytes: 3])
        try store("abc", by: alice)
        let digest = Digest(bytes: Hash.digest(.sha512, of: "abc".utf8))
        let blobs = BlobRepository(files.files, database.session())
        for size in [3, nil] { try blobs.admit(digest, size: size, of: alice) }
        #expect(
            refusal { try blobs.admit(digest, size: 4, of: alice) }
                == "the blob \(digest) has 3 bytes, and this body has 4")
    }

    @Test func `the number of blobs is limited`() throws {
        let alice = try account("alice", [.blobs: 1])
        try store("a", by: alice)
        #expect(
            refusal { try store("b", by: alice) }
                == "blobs limit: the account alice may store 1 blob, and has stored 1")
        try store("a", by: alice)
    }

    private func path(of text: String) -> String {
        files.path(of: Digest(bytes: Hash.digest(.sha512, of: text.utf8)))
    }

    /// Fails when `record_blobs` counts outside the transaction, or before the file is there in one of its own.
    @Test func `a blob that could not be published is not counted`() throws {
        let alice = try account("alice", [.bytes: 10])
        try FileManager.default.createDirectory(
            atPath: "\(path(of: "12345678"))/not empty", withIntermediateDirectories: true)
        #expect(throws: StoreError.self) { try store("12345678", by: alice) }
        #expect(try stored(alice) == 0)
        try store("1234567890", by: alice)
    }

    /// Fails when the limit is looked at behind `linkDurably`: a file would be left of what was refused.
    @Test func `what is over a limit is never published`() throws {
        let alice = try account("alice", [.bytes: 1])
        #expect(refusal { try store("12", by: alice) } != nil)
        #expect(access(path(of: "12"), F_OK) != 0)
    }

    /// Fails without the lock in AccountQuotas.checkQuota.
    @Test func `of two that race for the last bytes, one gets them`() throws {
        let alice = try account("alice", [.bytes: 0])
        let (database, files) = (database, files)
        for round in 1...20 {
            try database.accounts.set("alice", by: "tester") { $0.limits[.bytes] = 10 * round }
            let limited = try #require(try Identities(database.session()).enabledAccount(named: "alice"))
            let taken = Mutex(0)
            DispatchQueue.concurrentPerform(iterations: 2) { number in
                let text = "\(number)\(round)".padding(toLength: 10, withPad: ".", startingAt: 0)
                let isTaken = (try? files.put(text, by: limited, in: database.session())) != nil
                if isTaken { taken.withLock { $0 += 1 } }
            }
            #expect(taken.withLock { $0 } == 1)
        }
        #expect(try stored(alice) == 200)
        #expect(try AccountUsage(admin).compare().isRight)
    }

    /// Fails when AccountQuotas.checkQuota takes its lock for everybody.
    @Test(.timeLimit(.minutes(15))) func `an account without a quota waits for no other upload of its own`() throws {
        let (free, limited) = (try account("free"), try account("limited", [.bytes: 100]))
        let other = database.connection(as: "shacache_worker")
        let impatient = Session(database.target(as: "shacache_worker", statementTimeLimit: 1))
        try other.transaction {
            for account in [free, limited] { try other.run("SELECT pg_advisory_xact_lock(1, \(account.id))") }
            try store("a", by: free, in: impatient)
            #expect { try store("b", by: limited, in: impatient) } throws: {
                ($0 as? DatabaseError)?.kind == .unavailable
            }
        }
        try store("b", by: limited)
    }

    @Test func `entries are limited by the day and by the key, withdrawn ones included`() throws {
        let alice = try account("alice", [.entriesPerDay: 3, .entriesPerKey: 2])
        for note in ["1", "2", "2"] { try list(note, under: "k", by: alice, in: database.session()) }
        #expect(
            refusal { try list("3", under: "k", by: alice, in: database.session()) }
                == "entries per key limit: the account alice may have 2 entries under a key, and has 2 under this one")
        _ = try Entries(admin, in: anyStore().files).withdraw(
            under: Key("k"), naming: nil, Withdrawal(by: "tester", reason: Reason("why")!))
        #expect(refusal { try list("3", under: "k", by: alice, in: database.session()) } != nil)
        try list("1", under: "l", by: alice, in: database.session())
        #expect(
            refusal { try list("1", under: "m", by: alice, in: database.session()) }
                == "entries per day limit: the account alice may put 3 entries in a day (of UTC), and has put 3")
        try database.connection().run("UPDATE shacache.entry SET created_at = created_at - interval '1 day'")
        try list("1", under: "m", by: alice, in: database.session())
    }

    /// Fails without the lock in AccountQuotas.checkDay: the two are put under different keys.
    @Test func `of two that race for the last entry of the day, one gets it`() throws {
        let database = database
        for round in 1...20 {
            let alice = try account("alice-\(round)", [.entriesPerDay: 1])
            let taken = Mutex(0)
            DispatchQueue.concurrentPerform(iterations: 2) { number in
                let isTaken = (try? list("1", under: "\(round) \(number)", by: alice, in: database.session())) != nil
                if isTaken { taken.withLock { $0 += 1 } }
            }
            #expect(taken.withLock { $0 } == 1)
        }
    }

    @Test func `a recount finds what differs, repairs it, and writes that down`() throws {
        let alice = try account("alice")
        for text in ["a", "bb", "ccc"] { try store(text, by: alice) }
        try database.connection().run("UPDATE shacache.account_usage SET bytes = bytes + 100, blobs = 1")
        #expect(try !AccountUsage(admin).compare("alice").isRight)
        #expect(throws: AdministrationError.self) { try AccountUsage(admin).compare("nobody") }
        let found = try AccountUsage(admin).repair("alice", by: "tester")
        #expect(!found.isRight)
        #expect(try AccountUsage(admin).compare().isRight)
        #expect(try stored(alice) == 6)
        #expect(
            try count("SELECT count(*) FROM shacache.audit WHERE action = 'account recount' AND subject = 'alice'") == 1
        )
    }

    /// Fails when a repair sets the counted numbers, in place of adding what differs.
    @Test func `a repair while uploads go on is right in the end`() throws {
        let alice = try account("alice")
        try store("first", by: alice)
        try database.connection().run(
            """
            INSERT INTO shacache.account_usage AS usage VALUES (\(alice.id), 0, 1, 100)
            ON CONFLICT (account_id, shard) DO UPDATE SET bytes = usage.bytes + 100
            """)
        let (database, files) = (database, files)
        DispatchQueue.concurrentPerform(iterations: 4) { number in
            let session = database.session(as: number == 0 ? "shacache_admin" : "shacache_worker")
            for round in 0..<20 {
                if number == 0 {
                    _ = try? AccountUsage(session).repair(by: "tester")
                } else {
                    try? files.put("\(number) \(round)", by: alice, in: session)
                }
            }
        }
        #expect(try count("SELECT count(*) FROM shacache.blob") == 61)
        #expect(try AccountUsage(admin).compare().isRight)
    }
}
