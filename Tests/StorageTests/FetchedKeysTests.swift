import Fixtures
import Foundation
import Postgres
import ShaCache
import Testing

@testable import Storage

struct FetchedKeysTests {
    private let database: TestDatabase
    private let worker: Session
    private let key: Key

    init() throws {
        database = try TestDatabase()
        worker = database.session()
        key = try Key("k")
    }

    private var keys: FetchedKeys { FetchedKeys(worker) }

    private func pair(_ note: String, _ signature: String = "") -> [String] {
        ["{\"sha512\": \"\(String(repeating: "c", count: 128))\", \"note\": \"\(note)\"}", signature]
    }

    private func list(
        _ pairs: [[String]], signatures: SignaturePolicy = .record, entries: Int = 10, bytes: Int = 1 << 20
    ) throws -> FetchedList {
        let rules = UploadRules(
            signatures: signatures, keys: KeyLimits(entries: entries, bytes: bytes, entriesPerAccount: 1), blobSize: nil
        )
        return try FetchedList(Array(JSONEncoder().encode(pairs)), of: key, by: rules, Signers(worker).known())
    }

    private func answer() throws -> [[String]]? {
        try keys.list(of: key).map { try JSONDecoder().decode([[String]].self, from: Data($0.bytes)) }
    }

    private func makeOlder(by seconds: Int) throws {
        try database.connection().run(
            "UPDATE shacache.fetched_key SET answered_at = answered_at - make_interval(secs => \(seconds))")
    }

    // MARK: Lists

    @Test func `what exceeds what a key may have is refused, and so is what is there twice`() throws {
        let some = try list([pair("1"), pair("1"), pair("2"), pair("3")], entries: 2)
        #expect(some.pairs.count == 2 && some.refusedPairs == 1)
        #expect(some.refusal == "the key has 2 entries, the most that a key may have")
        #expect(try list([pair("1"), pair("2")], bytes: 200).pairs.count == 1)
    }

    @Test func `where signatures are required, an unsigned pair is refused`() throws {
        let (signed, unsigned) = (pair("1", "YWJj"), pair("2"))
        #expect(try list([signed, unsigned]).pairs.map(\.result) == [.unknownSigner, .unsigned])
        let none = try list([unsigned, signed], signatures: .require)
        #expect(none.pairs.isEmpty && none.refusedPairs == 2)
        #expect(none.refusal == Refusal.unsigned.terms.message)
    }

    @Test(arguments: ["{}", "[", "null", "[[\"\u{0}\"]]", "\u{FEFF}[]", "[] 1", "[1}", "[,]", "[1,]", "[x]", "[\"]"])
    func `what is no list is refused`(
        _ text: String
    ) throws {
        let rules = UploadRules(
            signatures: .record, keys: KeyLimits(entries: 1, bytes: 1, entriesPerAccount: 1), blobSize: nil)
        #expect(throws: Refusal.self) {
            try FetchedList(Array(text.utf8), of: key, by: rules, Signers(worker).known())
        }
    }

    // MARK: What is kept

    @Test func `the newest answer counts, and what was said of no key is not there`() throws {
        #expect(try answer() == nil && keys.upstream(of: key) == nil)
        try keys.store(list([pair("2"), pair("1")]), of: key, from: "far")
        #expect(try answer() == [pair("2"), pair("1")] && keys.upstream(of: key) == "far")
        try keys.store(list([pair("1"), pair("3")]), of: key, from: "farther")
        #expect(try answer() == [pair("1"), pair("3")] && keys.upstream(of: key) == "farther")
        try keys.store(list([]), of: key, from: "far")
        #expect(try answer() == [])
        try keys.forget(key)
        #expect(try answer() == nil)
    }

    /// Fails without `fetched_key` in the first statement of FetchedKeys.store.
    @Test func `the same answer makes a list fresh and writes none of its pairs`() throws {
        try keys.store(list([pair("1")]), of: key, from: "far")
        let row: SQL = "SELECT xmin FROM shacache.fetched_entry"
        let before = try database.connection().run(row).first?.text(0)
        try makeOlder(by: 100)
        try keys.store(list([pair("1")]), of: key, from: "far")
        let limits = FetchedKeys.Limits()
        guard case .fresh = try keys.age(of: key, limits) else {
            _ = Issue.record("not fresh")
            return
        }
        #expect(try database.connection().run(row).first?.text(0) == before)
        // Judged by other rules, it is another one.
        try keys.store(list([pair("1")], signatures: .require), of: key, from: "far")
        #expect(try answer() == [])
    }

    @Test func `a list ages, and is wanted once`() throws {
        let limits = FetchedKeys.Limits(fresh: 60, stale: 3600)
        var ages = ["\(try keys.age(of: key, limits))"]
        try keys.store(list([pair("1")]), of: key, from: "far")
        for seconds in [0, 61, 3600] {
            try makeOlder(by: seconds)
            ages.append("\(try keys.age(of: key, limits))")
        }
        #expect(ages == ["outdated", "fresh", "stale", "outdated"])
        #expect(try keys.takeWanted() == nil)
        for _ in 1...3 { try keys.want(key) }
        #expect(try keys.takeWanted()?.text == "k")
        #expect(try keys.takeWanted() == nil)
        try keys.want(key)
        try keys.store(list([pair("1")]), of: key, from: "far")
        #expect(try keys.takeWanted() == nil)
    }

    /// Fails without SKIP LOCKED in want_key, and in takeWanted.
    @Test(.timeLimit(.minutes(15))) func `nobody waits for a key that is being stored`() throws {
        try keys.store(list([pair("1")]), of: key, from: "far")
        let other = database.connection()
        try other.transaction {
            try other.run("SELECT FROM shacache.fetched_key FOR UPDATE")
            let impatient = FetchedKeys(Session(database.target(as: "shacache_worker", statementTimeLimit: 5)))
            try impatient.want(key)
            #expect(try impatient.takeWanted() == nil)
        }
    }

    @Test func `what was said longest ago goes first`() throws {
        for name in ["1", "2", "3"] {
            try keys.store(list([pair(name)]), of: Key(name), from: "far")
            try makeOlder(by: 10)
        }
        let left = { [database] in
            try database.connection().run("SELECT key FROM shacache.fetched_key ORDER BY key").map { $0.text(0)! }
        }
        try keys.trim(keys: 2, bytes: 1 << 20)
        #expect(try left() == ["2", "3"])
        try keys.trim(keys: 2, bytes: 1500)
        #expect(try left() == ["3"])
        #expect(try database.connection().run("SELECT key FROM shacache.fetched_entry").map { $0.text(0)! } == ["3"])
    }
}
