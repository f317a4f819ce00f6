import Fixtures
import Postgres
import ShaCache
import Testing

@testable import Storage

struct MirrorRecordTests {
    private let database: TestDatabase
    private let record: MirrorRecord

    init() throws {
        database = try TestDatabase()
        record = MirrorRecord(database.session(as: "shacache_admin"))
    }

    private func begin(_ prefix: String = "", since: Int? = nil) throws -> (
        number: Int, position: MirrorRecord.Position
    ) {
        try record.begin(
            MirrorRecord.Selection(upstream: "far", keyPrefix: prefix, since: since), isFollowing: false)
    }

    private func outcome(upTo number: Int, failed: [MirrorItem: MirrorFailure] = [:], done: [MirrorItem] = [])
        -> MirrorRecord.Outcome
    {
        var outcome = MirrorRecord.Outcome()
        (outcome.failed, outcome.done) = (failed, done)
        var position = MirrorRecord.Position()
        (position.number, position.numbering) = (number, "n")
        outcome.position = position
        return outcome
    }

    private func failed(onlyDue: Bool = false) throws -> [MirrorItem] {
        try record.failed(of: "far", onlyDue: onlyDue, most: 10)
    }

    @Test func `each selection goes on where it was`() throws {
        let (all, prefix, since) = (try begin(), try begin("a"), try begin(since: 5))
        #expect(Set([all.number, prefix.number, since.number]).count == 3 && all.position.numbering == nil)
        _ = try record.note(outcome(upTo: 7), of: all.number, from: "far")
        let again = try begin()
        #expect(again.number == all.number && again.position.number == 7 && again.position.numbering == "n")
        #expect(try begin("a").position.number == 0 && begin(since: 5).position.number == 0)
    }

    @Test func `what fails is new once, and waits longer each time`() throws {
        let (mirror, item) = (try begin().number, MirrorItem(.key, "k"))
        let failure = outcome(upTo: 1, failed: [item: MirrorFailure("no")])
        #expect(try record.note(failure, of: mirror, from: "far") == [item])
        var waits: [Int?] = []
        for _ in 1...3 {
            #expect(try record.note(failure, of: mirror, from: "far") == [])
            waits.append(
                try database.connection().run(
                    "SELECT extract(epoch FROM due_at - tried_at)::bigint FROM shacache.mirror_item"
                ).first?.int(0))
        }
        #expect(waits == [120, 240, 480])
        #expect(try failed() == [item] && failed(onlyDue: true) == [])
        try database.connection().run("UPDATE shacache.mirror_item SET tries = 60, due_at = now()")
        #expect(try failed(onlyDue: true) == [item])
        _ = try record.note(failure, of: mirror, from: "far")
        let longest = try database.connection().run(
            "SELECT due_at <= now() + interval '1 day' FROM shacache.mirror_item")
        #expect(longest.first!.bool(0))
        _ = try record.note(outcome(upTo: 2, done: [item]), of: mirror, from: "far")
        #expect(try failed() == [])
    }

    /// Or it would be asked for again and again.
    @Test func `a blob that nothing names any more is forgotten`() throws {
        let digest = String(repeating: "c", count: 128)
        let items = [MirrorItem(.blob, digest): MirrorFailure("absent", isAbsent: true)]
        _ = try record.note(outcome(upTo: 1, failed: items), of: begin().number, from: "far")
        try database.connection().runScript(
            """
            INSERT INTO shacache.fetched_key (key, upstream_id, list_digest, bytes, refused_pairs)
            SELECT 'k', id, sha256(''), 0, 0 FROM shacache.upstream;
            INSERT INTO shacache.fetched_entry (key, position, metadata, signature, digest, sha512, signature_result)
            VALUES ('k', 1, '', '', sha256(''), decode('\(digest)', 'hex'), 'unsigned')
            """)
        #expect(try failed().map(\.name) == [digest] && record.isNamed(digest))
        try database.connection().run("DELETE FROM shacache.fetched_key")
        #expect(try failed() == [] && !record.isNamed(digest))
    }

    @Test func `of another upstream nothing is done`() throws {
        let item = MirrorItem(.hiddenBlob, "x")
        _ = try record.note(outcome(upTo: 1, failed: [item: MirrorFailure("no")]), of: begin().number, from: "far")
        _ = try record.note(outcome(upTo: 1, done: [item]), of: nil, from: "other")
        #expect(try failed() == [item])
        try record.forget("far", by: "tester")
        #expect(try failed() == [] && begin().position.number == 0)
        #expect(throws: AdministrationError.self) { try record.forget("other", by: "tester") }
    }
}
