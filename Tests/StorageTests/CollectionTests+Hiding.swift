import Fixtures
import Foundation
import Postgres
import ShaCache
import Testing

@testable import Storage

/// Entries that are hidden, and shown again or deleted.
extension CollectionTests {
    @Test func `an entry that goes is hidden, and deleted when the grace time is over`() throws {
        let blob = try upload("bytes")
        try entry("1", under: "old", naming: blob)
        try entry("2", under: "new", naming: blob)
        try collect(Collection.Times(grace: 3600, untouched: 0, delay: 0, trash: 0))
        #expect(try notes(under: "old").isEmpty && notes(under: "new") == ["2"])
        try collect(Collection.Times(grace: 3600, untouched: 0, delay: 0, trash: 0))
        #expect(try count("SELECT count(*) FROM shacache.entry") == 2)
        #expect(try audit("entry hide") == ["old entry 1, withdrawal 1, retention policy old: is old"])
        try expectRight()
        try collect()
        #expect(try count("SELECT count(*) FROM shacache.entry") == 1)
        #expect(try audit("entry remove") == ["old entry 1, which named \(blob), retention policy old"])
        #expect(try count("SELECT count(*) FROM shacache.key_count") == 1)
        #expect(try count("SELECT count(*) FROM shacache.withdrawal WHERE removed_at IS NOT NULL") == 1)
        #expect(throws: AdministrationError.self) { try BlobRepository(store.files, admin).lift(1, by: "tester") }
        #expect(try isIntact(blob))
        try expectRight()
    }

    @Test(arguments: [true, false]) func `any upload of what is hidden shows it again`(isOther: Bool) throws {
        let blob = try upload("bytes")
        try entry("1", under: "old", naming: blob)
        try entry("2", under: "old", naming: blob)
        try collect(Collection.Times(grace: 3600, untouched: 0, delay: 0, trash: 0))
        #expect(try notes(under: "old").isEmpty)
        try entry("1", under: "old", naming: blob, by: isOther ? bob : alice)
        #expect(try notes(under: "old") == ["1"])
        try collect(Collection.Times(grace: 0, untouched: 3600, delay: 0, trash: 0))
        #expect(try notes(under: "old") == ["1"])
        #expect(try count("SELECT count(*) FROM shacache.entry") == 1)
        try expectRight()
    }

    /// Its policy keeps it as long as what is new. Fails without `renewed` in record_entries.
    @Test func `what is put again, or restored, is as new`() throws {
        let blob = try upload("bytes")
        let isNew: SQL =
            "SELECT count(*) FROM shacache.entry WHERE coalesce(renewed_at, created_at) > now() - interval '1 hour'"
        let age: SQL = "UPDATE shacache.entry SET created_at = created_at - interval '2 days', renewed_at = NULL"
        let hidden = Collection.Times(grace: 3600, untouched: 0, delay: 0, trash: 0)
        try entry("1", under: "old", naming: blob)
        try run(age)
        #expect(try count(isNew) == 0)
        try entry("1", under: "old", naming: blob)
        #expect(try count(isNew) == 1)
        try run(age)
        try run("UPDATE shacache.upload SET at = at - interval '2 days'")
        try collect(hidden)
        try entry("1", under: "old", naming: blob)
        #expect(try count(isNew) == 1)
        try run(age)
        try run("UPDATE shacache.upload SET at = at - interval '2 days'")
        try collect(hidden)
        #expect(try count(isNew) == 0)
        #expect(try Entries(admin, in: store.files).restoreRetained(1, by: "tester") == 1)
        #expect(try count(isNew) == 1)
    }

    /// Fails without the locks of keys in Entries.hideGoing.
    @Test func `what is put again while it is hidden shows it`() throws {
        let blob = try upload("bytes")
        try entry("1", under: "old", naming: blob)
        let gate = try gate(behind: "UPDATE OF withdrawal_id", of: "entry")
        try race(
            at: gate, { try collect(Collection.Times(grace: 3600, untouched: 0, delay: 0, trash: 0)) },
            meeting: { try list("1", under: "old", by: alice, naming: blob, in: database.session()) })
        #expect(try notes(under: "old") == ["1"])
    }

    @Test func `what is lifted while it is about to be deleted stays`() throws {
        let blob = try upload("bytes")
        for note in ["1", "2"] { try entry(note, under: "old", naming: blob) }
        try collect(Collection.Times(grace: 3600, untouched: 0, delay: 0, trash: 0))
        let other = database.connection(as: "postgres")
        let collection = try other.transaction {
            // As `collect restore --entry 1`.
            try other.run("SELECT FROM shacache.withdrawal FOR UPDATE")
            try other.run("UPDATE shacache.entry SET withdrawal_id = NULL, renewed_at = now() WHERE id = 1")
            let collection = OtherThread {
                try collect(Collection.Times(grace: 0, untouched: 3600, delay: 0, trash: 0))
            }
            try database.waitForSession(where: "wait_event_type = 'Lock'")
            return collection
        }
        collection.expectEnd()
        #expect(try notes(under: "old") == ["1"])
        #expect(try count("SELECT count(*) FROM shacache.entry") == 1)
        try expectRight()
    }

    /// As `entry withdraw 1` and `signer revoke` lock it. Fails without SKIP LOCKED in Entries.hideGoing: it would wait for one
    /// behind another that those wait for.
    @Test func `what is about to be withdrawn is left to the next run`() throws {
        let blob = try upload("bytes")
        for note in ["1", "2"] { try entry(note, under: "old", naming: blob) }
        let kept = Collection.Times(grace: 3600, untouched: 0, delay: 0, trash: 0)
        let other = database.connection(as: "postgres")
        try other.transaction {
            try other.run("SELECT FROM shacache.entry WHERE id = 1 FOR UPDATE")
            OtherThread { try collect(kept) }.expectEnd()
        }
        #expect(try notes(under: "old") == ["1"])
        try collect(kept)
        #expect(try notes(under: "old").isEmpty)
    }

    /// Fails without decidingAnew in Collection.forEachPage. The order of these locks is no real one.
    @Test func `a page that was part of a deadlock is tried again`() throws {
        let blob = try upload("bytes")
        try entry("1", under: "old", naming: blob)
        try collect()
        let other = database.connection(as: "postgres")
        try other.run("SET deadlock_timeout = '1 min'")
        let collection = try other.transaction {
            try other.run("SELECT FROM shacache.blob FOR UPDATE")
            let collection = OtherThread { try collect() }
            try database.waitForSession(where: "wait_event_type = 'Lock'")
            try other.run("SELECT FROM shacache.withdrawal FOR UPDATE")
            return collection
        }
        collection.expectEnd()
        #expect(try count("SELECT count(*) FROM shacache.entry") == 0)
    }

    @Test func `what was lifted is not deleted`() throws {
        let blob = try upload("bytes")
        try entry("1", under: "old", naming: blob)
        try collect(Collection.Times(grace: 3600, untouched: 0, delay: 0, trash: 0))
        #expect(try Entries(admin, in: store.files).restoreRetained(under: Key("old"), by: "tester") == 1)
        #expect(throws: CollectionError.self) {
            try Entries(admin, in: store.files).restoreRetained(under: Key("old"), by: "tester")
        }
        #expect(try audit("entry restore") == ["old entry 1, withdrawal 1"])
        try collect(Collection.Times(grace: 0, untouched: 3600, delay: 0, trash: 0))
        #expect(try notes(under: "old") == ["1"])
    }

    @Test func `what a policy hid is restored by the entry, the policy or the withdrawal`() throws {
        let blob = try upload("bytes")
        let kept = Collection.Times(grace: 3600, untouched: 0, delay: 0, trash: 0)
        try entry("1", under: "old", naming: blob)
        try entry("2", under: "old", naming: blob)
        try collect(kept)
        #expect(try Entries(admin, in: store.files).restoreRetained(2, by: "tester") == 1)
        #expect(try notes(under: "old") == ["2"])
        try collect(kept)
        #expect(try Entries(admin, in: store.files).restoreRetained(by: "old", by: "tester") == 2)
        #expect(try notes(under: "old") == ["1", "2"])
        try collect(kept)
        let last = try count("SELECT max(id) FROM shacache.withdrawal")
        #expect(try BlobRepository(store.files, admin).lift(last, by: "tester"))
        #expect(try notes(under: "old") == ["1", "2"])
        try expectRight()
    }

    /// Fails without `policy = ANY` in Entries.retentionWithdrawals.
    @Test func `what a policy hid that is configured no more is not deleted`() throws {
        let blob = try upload("bytes")
        try entry("1", under: "old", naming: blob)
        try collect()
        try collect(policies: [])
        #expect(try count("SELECT count(*) FROM shacache.entry") == 1)
        #expect(try Collections(admin).abandonedPolicies(besides: []) == ["old"])
        #expect(try Collections(admin).abandonedPolicies(besides: ["old"]) == [])
    }

    @Test func `what an operator withdrew stays with its blob, whatever policies say`() throws {
        let blob = try upload("bytes")
        try entry("1", under: "old", naming: blob)
        _ = try Entries(admin, in: store.files).withdraw(
            under: Key("old"), naming: nil, Withdrawal(by: "tester", reason: Reason("why")!))
        for _ in 1...3 { try collect() }
        #expect(try count("SELECT count(*) FROM shacache.entry") == 1)
        #expect(throws: Refusal.self) { try entry("1", under: "old", naming: blob) }
        #expect(try isIntact(blob))
    }
}
