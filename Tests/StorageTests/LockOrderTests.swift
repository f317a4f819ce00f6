import Fixtures
import Foundation
import OpenSSL
import Postgres
import ShaCache
import Testing

@testable import Storage

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
        let thread = try other.transaction {
            try other.run(first)
            let thread = OtherThread(action)
            try database.waitForSession(where: "wait_event_type = 'Lock'")
            try other.run(second)
            return thread
        }
        thread.expectEnd()
    }

    /// As in a group of uploads, which lock the sums by their accounts' numbers. Fails without ORDER BY in
    /// AccountUsage.addDifferences: the accounts come by name there.
    @Test(.timeLimit(.minutes(15))) func `a recount and uploads of several accounts don't deadlock`() throws {
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
    @Test(.timeLimit(.minutes(15))) func `an entry and an upload of the blob that it names don't deadlock`() throws {
        try database.accounts.add("alice", comment: "", by: "tester") { $0.limits = [.entriesPerDay: 10] }
        let alice = try account("alice")
        try store.put("blob", by: alice, in: database.session())
        let digest = Digest(bytes: Hash.digest(.sha512, of: "blob".utf8))
        try race(
            first: "SELECT pg_advisory_xact_lock(1, \(alice.id))",
            then: "SELECT FROM shacache.blob WHERE sha512 = \(digest.bytes) FOR UPDATE"
        ) { [database] in try list("1", under: "k", by: alice, naming: digest, in: database.session()) }
    }

    /// As `collect restore` does, by the withdrawals' numbers. Fails without CollectionRecord.lockWithdrawals: a page goes by
    /// the policies' names.
    @Test(.timeLimit(.minutes(15))) func `hiding by several policies and restoring don't deadlock`() throws {
        let alice = try database.addAccount("alice")
        for note in ["1", "2", "3", "4"] { try list(note, under: "k", by: alice, in: database.session()) }
        // It goes from this thread to another, and back.
        nonisolated(unsafe) let collector = database.session(as: "shacache_collector")
        let record = try CollectionRecord(beginningIn: collector, on: "a", by: "tester")
        let connection = collector.connection
        try connection.run("CREATE TEMPORARY TABLE going_entry (entry_id bigint, policy text, why text)")
        nonisolated(unsafe) let hide = { [store] (entries: [Int], policies: [String]) throws in
            try connection.run(
                """
                INSERT INTO pg_temp.going_entry
                SELECT *, '' FROM unnest(\(entries.map(String.init))::bigint[], \(policies)::text[])
                """)
            _ = try Entries(collector, in: store.files).hideGoing(
                after: 0, Cutoff(planned: "infinity", untouched: 0), for: record, by: "tester")
        }
        try hide([1], ["z"])
        try hide([2], ["a"])
        let withdrawal = { (policy: String) -> SQL in
            "SELECT FROM shacache.withdrawal WHERE policy = \(policy) FOR UPDATE"
        }
        try race(first: withdrawal("z"), then: withdrawal("a")) { try hide([3, 4], ["a", "z"]) }
        #expect(try Withdrawals(database.session(as: "shacache_admin")).table().rows.count == 2)
    }

    /// As `entry withdraw` and `signer revoke` lock it, without the key's lock. Fails without SKIP LOCKED in record_entries: it
    /// would wait for one behind another that those wait for.
    @Test func `a duplicate doesn't wait for its entry, which is about to be withdrawn`() throws {
        let alice = try database.addAccount("alice")
        try list("1", under: "k", by: alice, in: database.session())
        try other.run("UPDATE shacache.entry SET created_at = created_at - interval '1 day'")
        try other.transaction {
            try other.run("SELECT FROM shacache.entry FOR UPDATE")
            OtherThread { [database] in try list("1", under: "k", by: alice, in: database.session()) }.expectEnd()
        }
    }
}
