import Fixtures
import Foundation
import OpenSSL
import Postgres
import ShaCache
import Storage
import Testing

/// Transactions that take the same locks take them in one order: what would be a deadlock in another is a wait here.
struct LockOrderTests {
    private let database: TestDatabase
    private let store: TestStore
    /// The other one of a deadlock, and the one that it would end: what the others try again would not be seen.
    private let other: Connection

    init() throws {
        database = try TestDatabase()
        store = try TestStore()
        other = database.connection(as: "postgres")
        try other.run("SET deadlock_timeout = '10 ms'")
    }

    private func account(_ name: String) throws -> Account {
        try #require(try Identities(database.session()).enabledAccount(named: name))
    }

    /// Locks something, does a thing in another thread until it waits for that, and locks something else.
    private func race(
        first: SQL, then second: SQL, with action: @escaping @Sendable () throws -> Void
    ) throws {
        let finished = DispatchGroup()
        try other.transaction {
            try other.run(first)
            finished.enter()
            Thread {
                #expect(throws: Never.self) { try action() }
                finished.leave()
            }.start()
            try database.waitForSession(where: "wait_event_type = 'Lock'")
            try other.run(second)
        }
        #expect(finished.wait(timeout: .now() + 20) == .success)
    }

    /// As in a group of uploads, which lock the sums by their accounts' numbers. Fails without ORDER BY in
    /// AccountUsage.addDifferences: the accounts come by name there.
    @Test(.timeLimit(.minutes(1))) func `a recount and uploads of several accounts don't deadlock`() throws {
        for name in ["z", "a"] {
            try database.accounts.add(name, comment: "", by: "tester")
            try store.put(name, by: account(name), in: database.session())
        }
        try database.connection().run("UPDATE shacache.account_usage SET blobs = 0, shard = 0")
        // Its row lies behind the other's from now on.
        try database.connection().run("UPDATE shacache.account SET comment = 'moved' WHERE name = 'z'")
        let (first, last) = try (account("z").id, account("a").id)
        let sum = { (account: AccountID) -> SQL in
            "SELECT FROM shacache.account_usage WHERE account_id = \(account) AND shard = 0 FOR UPDATE"
        }
        try race(first: sum(first), then: sum(last)) { [database] in
            _ = try AccountUsage(database.session(as: "shacache_admin")).repair(by: "tester")
        }
        #expect(try AccountUsage(database.session(as: "shacache_admin")).compare().isRight)
    }

    /// As an upload of this blob by the same account does. Fails when Entries.storeAlone locks the blob's row first.
    @Test(.timeLimit(.minutes(1))) func `an entry and an upload of the blob that it names don't deadlock`() throws {
        try database.accounts.add("alice", comment: "", by: "tester") { $0.limits = [.entriesPerDay: 10] }
        let alice = try account("alice")
        try store.put("blob", by: alice, in: database.session())
        let digest = Digest(bytes: Hash.digest(.sha512, of: "blob".utf8))
        try race(
            first: "SELECT pg_advisory_xact_lock(1, \(alice.id))",
            then: "SELECT FROM shacache.blob WHERE sha512 = \(digest.bytes) FOR UPDATE"
        ) { [database] in try list("1", under: "k", by: alice, naming: digest, in: database.session()) }
    }
}
