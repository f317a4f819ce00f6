import Fixtures
import Postgres
import ShaCache
import Testing

@testable import Storage

struct ImportTests {
    private let database: TestDatabase
    private let store: TestStore
    private let session: Session

    init() throws {
        database = try TestDatabase()
        store = try TestStore()
        session = database.session(as: "shacache_admin")
        for name in ["old", "other"] { try database.accounts.add(name, comment: "", by: "tester") }
    }

    private func account(_ name: String) throws -> Account {
        try #require(try Identities(session).enabledAccount(named: name))
    }

    private func texts(_ sql: SQL) throws -> [String] {
        let rows = try database.connection().run(sql)
        return rows.map { row in rows.columns.indices.map { row.text($0) ?? "" }.joined(separator: " ") }
    }

    /// Fails without the rights on the functions that store (sql/functions), and on entry.is_shared (0011_imports.sql).
    @Test func `an operator's session stores as a worker's does`() throws {
        for name in ["old", "other"] {
            try store.put("bytes", by: account(name), in: session)
            try list("note", under: "k", by: account(name), in: session)
        }
        #expect(try texts("SELECT count(*), bool_or(is_shared) FROM shacache.entry") == ["1 t"])
        #expect(try texts("SELECT count(*), count(*) FILTER (WHERE duplicate) FROM shacache.upload") == ["4 2"])
        #expect(throws: DatabaseError.self) { try session.connection.run("DELETE FROM shacache.entry") }
    }

    @Test func `an import is on record before it stores anything, and its sums when it ends`() throws {
        let imports = Imports(session)
        let number = try imports.begin(.http, from: "http://a http://b", for: account("old"), by: "ann")
        #expect(try texts("SELECT kind, actor, blobs, finished_at FROM shacache.import") == ["http ann 0 "])
        #expect(
            try texts("SELECT actor, action, subject, detail FROM shacache.audit WHERE action = 'import'")
                == ["ann import import-\(number) http http://a http://b, for the account old"])
        var sums = ImportSums()
        (sums.blobs, sums.bytes, sums.entries, sums.duplicates, sums.absent, sums.refused) = (1, 2, 3, 4, 5, 6)
        try imports.finish(number, sums, problem: "why")
        #expect(
            try texts("SELECT blobs, bytes, entries, duplicates, absent, refused, problem FROM shacache.import")
                == ["1 2 3 4 5 6 why"])
    }

    /// Fails without `last` in Entries.forEachKey, and without the end at the first key that begins otherwise.
    @Test func `keys come in their order, however many there are`() throws {
        try database.connection().run(
            """
            INSERT INTO shacache.key_count (key, entries, last_at)
            SELECT prefix || lpad(number::text, 4, '0'), 1, now()
            FROM generate_series(1, 2500) AS number, unnest(ARRAY['a:', 'b:']) AS prefix
            """)
        func keys(_ prefix: String) throws -> [String] {
            var keys: [String] = []
            try Entries(session, in: anyStore().files).forEachKey(beginningWith: prefix) { keys.append($0.text) }
            return keys
        }
        #expect(try keys("").count == 5000)
        let found = try keys("a:")
        #expect(found.count == 2500 && found == found.sorted() && found.allSatisfy { $0.hasPrefix("a:") })
        #expect(try keys("b:25") == ["b:2500"])
        #expect(try keys("c").isEmpty)
    }
}
