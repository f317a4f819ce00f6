import Fixtures
import Foundation
import Postgres
import ShaCache
import Testing

@testable import Storage

/// What the journal has of collections, and a rebuilt database.
extension CollectionTests {
    private static let kept = Collection.Times(grace: 3600, untouched: 0, delay: 0, trash: 3600)

    private var records: (JournalKind) throws -> [[String: Any]] { store.files.journalRecords }

    /// Fails without the notes of hideByPolicy, delete or close in Entries, or of CollectionRecord.withdrawal.
    @Test func `the journal has what was hidden and removed, and by which policy`() throws {
        let blob = try upload("bytes")
        for note in ["1", "2"] { try entry(note, under: "old", naming: blob) }
        try collect(Self.kept)
        let hidden = try records(.hidden)
        #expect(hidden.map { $0["entries"] as? [Int] } == [[1, 2]])
        #expect(hidden.map { $0["withdrawal"] as? Int } == [1])
        let withdrawals = try records(.withdrawal)
        #expect(withdrawals.map { $0["policy"] as? String } == ["old"])
        #expect(withdrawals.map { $0["is_retention"] as? Bool } == [true])
        #expect(withdrawals.allSatisfy { $0["removed_at"] is NSNull })
        try collect()
        #expect(try records(.removed).map { $0["entries"] as? [Int] } == [[1, 2]])
        #expect(try records(.withdrawal).last?["removed_at"] is String)
        // Its file tells what has become of a blob.
        try collect()
        #expect(try count("SELECT count(*) FROM shacache.blob") == 0 && isInTrash(blob))
        let kinds: [JournalKind] = [.account, .entry, .withdrawal, .hidden, .removed]
        #expect(try kinds.map { try records($0).count } == [1, 2, 2, 1, 1])
    }

    /// The collector was killed behind its COMMIT. Fails when JournalUpkeep.changes leaves out what has no row.
    @Test func `the upkeep writes what was removed and the journal lacks, once`() throws {
        let blob = try upload("bytes")
        for note in ["1", "2"] { try entry(note, under: "old", naming: blob) }
        try collect(Self.kept)
        let collector = database.session(as: "shacache_collector")
        _ = try Entries(collector, in: anyStore().files).deleteHidden(
            by: RetentionWithdrawal(number: 1, policy: "old", grace: 0), after: 0,
            for: CollectionRecord(beginningIn: collector, on: "a", by: "tester"), by: "tester")
        let upkeep = JournalUpkeep(of: store.files, admin)
        for added in [1, 0] { #expect(try upkeep.addLacking().withdrawals == added) }
        #expect(try records(.removed).map { $0["entries"] as? [Int] } == [[1, 2]])
    }

    /// Fails when Rebuild hides what retention had hidden, reads the entries before it knows what was removed, or leaves
    /// renewed_at out.
    @Test func `a rebuilt database shows what was hidden, and has nothing of what was removed`() throws {
        let (blob, loose) = (try upload("bytes"), try upload("loose"))
        for key in ["new", "old-removed", "old-back"] { try entry("1", under: key, naming: blob) }
        for _ in 1...2 { try collect() }
        for key in ["old-hidden", "old-again", "old-restored", "old-withdrawn"] {
            try entry("1", under: key, naming: blob)
        }
        try collect(Self.kept)
        for key in ["old-back", "old-again"] { try entry("1", under: key, naming: blob) }
        let entries = Entries(admin, in: store.files)
        #expect(try entries.restoreRetained(under: Key("old-restored"), by: "tester") == 1)
        _ = try entries.withdraw(
            under: Key("old-withdrawn"), naming: nil, Withdrawal(by: "tester", reason: Reason("why")!))

        let keys = ["new", "old-back", "old-again", "old-restored", "old-hidden", "old-withdrawn", "old-removed"]
        let seen = { (database: TestDatabase) in
            try keys.map { try Entries(database.session(), in: store.files).list(of: Key($0))?.count }
        }
        let whole = try #require(try seen(database)[0])
        #expect(try seen(database) == [whole, whole, whole, whole, 2, 2, nil])
        let rebuilt = try TestDatabase()
        let summary = try Rebuild(of: store.files, rebuilt.session(as: "shacache_owner")).run(by: "tester")
        #expect(summary.remarks.isEmpty && summary.entries == 6 && summary.hiddenEntries == 1 && summary.blobs == 1)
        #expect(try seen(rebuilt) == [whole, whole, whole, whole, whole, 2, nil])
        #expect(try BlobRepository(store.files, rebuilt.session()).servedSize(of: loose) == nil && isInTrash(loose))
        // Each is as if it had been put now.
        #expect(try rebuilt.connection().run("SELECT FROM shacache.entry WHERE renewed_at IS NULL").first == nil)
        try expectRight(rebuilt)
        try collect(Self.kept, in: rebuilt)
        #expect(try seen(rebuilt) == [whole, 2, 2, 2, 2, 2, nil])
        try expectRight(rebuilt)
    }
}
