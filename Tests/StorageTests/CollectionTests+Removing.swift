import Fixtures
import Foundation
import Postgres
import ShaCache
import Testing

@testable import Storage

/// Blobs that are marked and removed, and uploads that meet that.
extension CollectionTests {
    /// Fails without SET left_by in Entries.noteLeft.
    @Test func `the policy that removed a blob's last entry is known`() throws {
        let blob = try upload("bytes")
        try entry("1", under: "old", naming: blob)
        try collect()
        #expect(try isIntact(blob))
        try collect()
        #expect(try count("SELECT count(*) FROM shacache.blob") == 0)
        let other = try upload("other")
        try entry("1", under: "old", naming: other)
        let waiting = Collection.Times(grace: 0, untouched: 0, delay: 3600, trash: 0)
        try collect(waiting)
        try collect(waiting)
        #expect(try count("SELECT count(*) FROM shacache.blob WHERE left_by = 'old' AND deleting_at IS NOT NULL") == 1)
        try upload("other")
        #expect(try count("SELECT count(*) FROM shacache.blob WHERE left_by IS NULL AND deleting_at IS NULL") == 1)
    }

    /// Fails without `deleting_at = NULL` in record_blobs, for a lone upload and one of a group.
    @Test(arguments: [true, false]) func `an upload unmarks a blob that was to go`(isOther: Bool) throws {
        let blob = try upload("bytes")
        try mark()
        try upload("bytes", by: isOther ? bob : alice)
        try collect(Self.hour)
        #expect(try isIntact(blob) && !isInTrash(blob))
    }

    /// Fails without `deleting_at = NULL` in record_entries.
    @Test func `an entry unmarks a blob that was to go`() throws {
        let blob = try upload("bytes")
        try mark()
        try entry("1", under: "new", naming: blob)
        #expect(try count("SELECT count(*) FROM shacache.blob WHERE deleting_at IS NOT NULL") == 0)
        try collect(Self.hour)
        #expect(try isIntact(blob) && !isInTrash(blob))
    }

    /// Fails without tryLocks in BlobRepository.remove, or without the look at blobs in moveRemoved.
    @Test func `an upload that meets a removal waits, and is a blob of its own`() throws {
        let blob = try upload("bytes")
        try mark()
        let gate = try gate(behind: "DELETE", of: "blob")
        try race(
            at: gate, { try collect(Self.hour) },
            meeting: { try store.put("bytes", by: bob, in: database.session()) })
        try collect(Self.hour)
        #expect(try isIntact(blob))
        #expect(try usage(of: bob) == 5 && usage(of: alice) == 0)
        try expectRight()
    }

    /// Fails without SKIP LOCKED in BlobRepository.remove: it waits for the entry, and would hold up all uploads of its page.
    @Test(.timeLimit(.minutes(15))) func `a removal doesn't wait for an entry that is being stored`() throws {
        let blob = try upload("bytes")
        try mark()
        let gate = try gate(behind: "INSERT", of: "entry")
        let upload = OtherThread { try list("1", under: "new", by: alice, naming: blob, in: database.session()) }
        try database.waitForSession(where: "wait_event_type = 'Lock'")
        try collect(Self.hour)
        try gate.run("SELECT pg_advisory_unlock(7, 7)")
        upload.expectEnd()
        #expect(try isIntact(blob) && notes(under: "new") == ["1"])
        try expectRight()
    }

    /// A collection up to a step of it.
    private func removeRows() throws {
        try mark()
        let blobs = collector()
        let record = try CollectionRecord(beginningIn: blobs.session, on: "a", by: "tester")
        try plan(blobs.session)
        let cutoff = Cutoff(planned: "infinity", untouched: 0)
        _ = try blobs.removeMarked(after: "", delay: 0, cutoff, for: record, by: "tester")
    }

    /// Fails without moveRemoved in Collection.remove, or when it doesn't free what came again.
    @Test(arguments: [false, true], [false, true])
    func `killed behind the removal of the row, or the move of the file`(isMoved: Bool, isUploaded: Bool) throws {
        let blob = try upload("bytes")
        try removeRows()
        #expect(store.files.isAsStored(blob))
        if isMoved { _ = try store.files.moveToTrash([blob]) }
        if isUploaded { try upload("bytes", by: bob) }
        // Nothing goes by this plan.
        try collect(Collection.Times(grace: 0, untouched: 3600, delay: 3600, trash: 3600))
        #expect(try isIntact(blob) == isUploaded)
        #expect(isInTrash(blob) == !isUploaded)
        #expect(try usage(of: alice) == (isUploaded ? 0 : 5) && usage(of: bob) == (isUploaded ? 5 : 0))
        try expectRight()
    }
}
