import Fixtures
import Foundation
import Postgres
import ShaCache
import Testing

@testable import Storage

/// What changes between the plan and its execution.
extension CollectionTests {
    /// Fails without the look at shacache.upload in Entries.hideGoing.
    @Test func `what is put again behind the plan is not hidden`() throws {
        let blob = try upload("bytes")
        try entry("1", under: "old", naming: blob)
        try entry("2", under: "old2", naming: blob)
        try collect { try entry("1", under: "old", naming: blob) }
        #expect(try notes(under: "old") == ["1"] && notes(under: "old2").isEmpty)
    }

    /// Fails without last_referenced_at in the DELETE of BlobRepository.remove: the mark is one of before.
    @Test func `what is uploaded behind the plan is not removed`() throws {
        let blob = try upload("bytes")
        try mark()
        try collect(Self.hour) {
            try upload("bytes")
            try run("UPDATE shacache.blob SET deleting_at = now() - interval '2 hours'")
        }
        #expect(try isIntact(blob) && !isInTrash(blob))
    }

    /// Fails without the look at entries in the DELETE of BlobRepository.remove.
    @Test func `what an entry names behind the plan is not removed`() throws {
        let blob = try upload("bytes")
        try mark()
        try collect(Self.hour) {
            try entry("1", under: "new", naming: blob)
            try run(
                """
                UPDATE shacache.blob
                SET deleting_at = now() - interval '2 hours', last_referenced_at = now() - interval '2 hours'
                """)
        }
        #expect(try isIntact(blob) && !isInTrash(blob))
    }

    /// Fails without withdrawal_id in the DELETE of BlobRepository.remove: what is withdrawn blocks its name.
    @Test func `what is withdrawn behind the plan is not removed`() throws {
        let blob = try upload("bytes")
        try mark()
        try collect(Self.hour) {
            _ = try BlobRepository(store.files, admin).withdraw(
                blob, Withdrawal(by: "tester", reason: Reason("why")!))
        }
        #expect(try count("SELECT count(*) FROM shacache.blob WHERE withdrawal_id IS NOT NULL") == 1)
        #expect(throws: Refusal.self) { try upload("bytes") }
    }

    /// Fails without Pins.holdEntry in Entries.hideGoing, and Pins.holdBlob in BlobRepository.remove.
    @Test func `what is pinned behind the plan stays`() throws {
        let (blob, named) = (try upload("bytes"), try upload("named"))
        let pins = Pins(admin)
        let reason = Reason("why")!
        for key in ["old", "old2"] { try entry("1", under: key, naming: named) }
        try collect(Collection.Times(grace: 3600, untouched: 0, delay: 7200, trash: 3600)) {
            _ = try pins.add(.key(Key("old")), because: reason, by: "tester")
        }
        #expect(try notes(under: "old") == ["1"] && notes(under: "old2").isEmpty)
        _ = try pins.add(.entry(2), because: reason, by: "tester")
        try run("UPDATE shacache.blob SET deleting_at = now() - interval '2 hours' WHERE deleting_at IS NOT NULL")
        try collect(Self.hour) { _ = try pins.add(.blob(blob), because: reason, by: "tester") }
        #expect(try count("SELECT count(*) FROM shacache.entry") == 2)
        #expect(try isIntact(blob))
    }

    /// A collection by a plan that lets no blob go.
    private func collectNothing() throws {
        let collection = try Collection(of: collector(), Self.atOnce, rate: 1000, on: "a", by: "tester")
        _ = try collection.run(policies: []) {
            try plan($0)
            try $0.connection.run("TRUNCATE pg_temp.going_blob")
        }
    }

    /// Fails without the call of unmark in BlobRepository.removeMarked, and without its SKIP LOCKED.
    @Test func `what no plan lets go any more is unmarked, but for what is in use`() throws {
        let (blob, used) = (try upload("bytes"), try upload("used"))
        try mark()
        let other = database.connection(as: "postgres")
        try other.transaction {
            try other.run("SELECT FROM shacache.blob WHERE sha512 = \(used.bytes) FOR UPDATE")
            OtherThread { try collectNothing() }.expectEnd()
        }
        let marked: SQL = "SELECT count(*) FROM shacache.blob WHERE deleting_at IS NOT NULL"
        #expect(try count(marked) == 1)
        try collectNothing()
        #expect(try count(marked) == 0)
        #expect(try isIntact(blob) && isIntact(used))
    }
}
