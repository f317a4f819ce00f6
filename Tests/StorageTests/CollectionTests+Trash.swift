import Fixtures
import Foundation
import Postgres
import ShaCache
import Testing

@testable import Storage

/// Blobs in trash, which come back or are freed.
extension CollectionTests {
    /// Fails without giveBack in BlobRepository.free.
    @Test func `a blob goes to trash, and its bytes count until they are gone`() throws {
        let blob = try upload("bytes")
        try collect()
        #expect(try BlobRepository(store.files, worker).servedSize(of: blob) == nil)
        #expect(isInTrash(blob) && access(store.path(of: blob), F_OK) != 0)
        #expect(try usage(of: alice) == 5)
        #expect(try audit("blob remove") == ["\(blob) 5 bytes, retention policy old: is unnamed"])
        try expectRight()
        try collect(Collection.Times(grace: 0, untouched: 0, delay: 0, trash: 0))
        #expect(!isInTrash(blob))
        #expect(try usage(of: alice) == 0)
        try expectRight()
    }

    @Test func `trash is emptied at once when an operator wants that`() throws {
        let blob = try upload("bytes")
        try collect(isEmptyingTrash: true)
        #expect(try !isInTrash(blob) && usage(of: alice) == 0)
    }

    /// When summer time ends, the texts of times have another order. Fails with ORDER BY moved_at, the selected text, in
    /// BlobRepository.free.
    @Test func `trash is freed in the order of time`() throws {
        let count = CollectionPage<String>.size
        try run(
            """
            INSERT INTO shacache.trash (
                sha512, size, account_id, created_at, last_referenced_at, is_shared, policy, moved_at)
            SELECT sha512(int8send(n)), 1, \(alice.id), now(), now(), false, 'old',
                timestamptz '2026-10-25 01:30Z' - CASE n WHEN 0 THEN interval '45 minutes' ELSE '0' END
            FROM generate_series(0, \(count)::bigint) AS n
            """)
        let blobs = collector()
        try blobs.connection.runScript("SET TimeZone = 'Europe/Berlin'")
        let record = try CollectionRecord(beginningIn: blobs.session, on: "a", by: "tester")
        var position: TrashPosition? = TrashPosition()
        while let current = position {
            position = try blobs.free(after: current, olderThan: 0, for: record).last
        }
        #expect(try self.count("SELECT count(*) FROM shacache.trash") == 0)
    }

    /// It came behind the step that would bring it back.
    @Test func `what an entry names is not freed`() throws {
        let blob = try upload("bytes")
        try collect()
        try entry("1", under: "new", naming: blob)
        let blobs = collector()
        let record = try CollectionRecord(beginningIn: blobs.session, on: "a", by: "tester")
        let page = try blobs.free(after: TrashPosition(), olderThan: 0, for: record)
        #expect(page.count == 0 && isInTrash(blob))
    }

    /// Fails without isMissed in BlobRepository.returnNamed.
    @Test func `an entry that meets a removal gets its blob back`() throws {
        let blob = try upload("bytes")
        try mark()
        let gate = try gate(behind: "DELETE", of: "blob")
        try race(
            at: gate, { try collect(Self.hour) },
            meeting: { try list("1", under: "new", by: alice, naming: blob, in: database.session()) })
        #expect(try notes(under: "new") == ["1"])
        try expectRight()
        try collect(Collection.Times(grace: 0, untouched: 0, delay: 3600, trash: 0))
        #expect(try isIntact(blob) && usage(of: alice) == 5)
        try expectRight()
    }

    /// Fails when unlinkFromTrash takes ENOENT for an error.
    @Test func `killed behind the removal of the file`() throws {
        let blob = try upload("bytes")
        try collect()
        try store.files.unlinkFromTrash([blob])
        #expect(throws: CollectionError.self) {
            try collector().restoreRemoved(blob, by: "tester", because: "tester")
        }
        try collect(Collection.Times(grace: 0, untouched: 0, delay: 0, trash: 0))
        #expect(try usage(of: alice) == 0)
        try expectRight()
    }

    /// Fails without `|| files.isVisible` in BlobRepository.restoreRemoved.
    @Test func `killed in the middle of a return`() throws {
        let blob = try upload("bytes")
        try collect()
        #expect(try store.files.restoreFromTrash(blob) == .intact)
        try collector().restoreRemoved(blob, by: "tester", because: "it is missed")
        #expect(try isIntact(blob))
        try expectRight()
    }

    /// Nothing reads trash but this. Fails without verifiedPresence in LocalBlobs.restoreFromTrash.
    @Test func `what was damaged in trash is not shown again`() throws {
        let blob = try upload("bytes")
        try collect()
        try Data("other".utf8).write(to: URL(filePath: "\(store.files.trash)/\(blob)"))
        #expect(throws: CollectionError.self) {
            try collector().restoreRemoved(blob, by: "tester", because: "it is missed")
        }
        try entry("1", under: "new", naming: blob)
        try collect(Collection.Times(grace: 0, untouched: 0, delay: 3600, trash: 3600))
        #expect(isInTrash(blob) && access(store.path(of: blob), F_OK) != 0)
        #expect(try upload("bytes") == blob && isIntact(blob))
    }

    @Test func `what was removed is restored from trash, whole`() throws {
        let blob = try upload("bytes")
        try collect()
        try collector().restoreRemoved(blob, by: "tester", because: "it is missed")
        #expect(try isIntact(blob) && !isInTrash(blob) && usage(of: alice) == 5)
        #expect(try audit("blob restore") == ["\(blob) it is missed"])
        #expect(throws: CollectionError.self) {
            try collector().restoreRemoved(blob, by: "tester", because: "it is missed")
        }
        try expectRight()
    }

    /// Fails without thrown_away's ON CONFLICT, or without replaced, in BlobRepository.remove.
    @Test func `what is uploaded while it is in trash is a blob of its own, and goes there again`() throws {
        let blob = try upload("bytes")
        try collect()
        try upload("bytes", by: bob)
        #expect(try isIntact(blob) && isInTrash(blob))
        #expect(try usage(of: alice) == 5 && usage(of: bob) == 5)
        try expectRight()
        try collect()
        #expect(isInTrash(blob))
        #expect(try usage(of: alice) == 0 && usage(of: bob) == 5)
        try upload("bytes")
        try collect(Collection.Times(grace: 0, untouched: 3600, delay: 0, trash: 0))
        #expect(try isIntact(blob) && !isInTrash(blob))
        #expect(try usage(of: alice) == 5 && usage(of: bob) == 0)
        try expectRight()
    }

    /// As after the restore of a database from before. Fails without reconcileTrash in Collection.run; and check names it.
    @Test func `a file in trash whose blob has a row comes back`() throws {
        let (blob, other) = (try upload("bytes"), try upload("other"))
        for each in [blob, other] { _ = try store.files.moveToTrash([each]) }
        try upload("other")
        var found: [String] = []
        let report = try StoreCheck(
            of: store.files, admin, repairingAs: nil, isHashing: false, rate: 1 << 30
        ) { found.append("\($0.kind) \($0.name)") }.run()
        #expect(report.faults == 1 && found == ["trashed \(blob)", "trashOrphan trash/\(other)"])
        try collect(Collection.Times(grace: 0, untouched: 3600, delay: 0, trash: 3600))
        #expect(try isIntact(blob) && isIntact(other) && !isInTrash(blob) && !isInTrash(other))
        _ = try store.files.moveToTrash([blob])
        let repaired = try StoreCheck(
            of: store.files, admin, repairingAs: "tester", isHashing: false, rate: 1 << 30
        ) { _ in }.run()
        #expect(try repaired.faults == 0 && isIntact(blob))
    }
}
