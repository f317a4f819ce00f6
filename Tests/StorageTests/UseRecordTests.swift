import Fixtures
import Postgres
import ShaCache
import Testing

@testable import Storage

struct UseRecordTests {
    private let database: TestDatabase

    init() throws { database = try TestDatabase() }

    private var names: FoundNames {
        get throws {
            var names = FoundNames()
            names.blobs = ["0", "a", "0"].map { Digest(String(repeating: $0, count: 128))! }
            names.keys = [try Key("a\\b\"c,d"), try Key("k"), try Key("k")]
            return names
        }
    }

    private func texts(_ sql: SQL) throws -> [String] {
        let rows = try database.connection().run(sql)
        return rows.map { row in rows.columns.indices.map { row.text($0) ?? "" }.joined(separator: " ") }
    }

    @Test func `what a list found is noted once, whatever its name holds`() throws {
        let session = database.session()
        for _ in 1...2 { try UseRecord(session).note(names) }
        #expect(
            try texts("SELECT left(encode(sha512, 'hex'), 1) FROM shacache.blob_question ORDER BY sha512") == [
                "0", "a",
            ])
        #expect(try texts("SELECT key FROM shacache.key_question ORDER BY key") == ["a\\b\"c,d", "k"])
    }

    /// Fails without the conditions on `day` in note_use.sql: a row would be written again at each question.
    @Test func `a row is written once a day, and again on the next`() throws {
        let session = database.session()
        try UseRecord(session).note(names)
        let versions = try texts("SELECT ctid, xmin FROM shacache.blob_question")
        try UseRecord(session).note(names)
        #expect(try texts("SELECT ctid, xmin FROM shacache.blob_question") == versions)
        try database.connection().run("UPDATE shacache.blob_question SET day = day - 1")
        try UseRecord(session).note(names)
        #expect(
            try texts("SELECT DISTINCT day = (now() AT TIME ZONE 'UTC')::date FROM shacache.blob_question") == ["t"])
    }

    /// Fails without the condition on transaction_read_only in note_use.sql.
    @Test func `a database that takes no writes is left alone`() throws {
        let options = ConnectionOptions(
            connectionString: "dbname=\(database.name)", role: "shacache_worker", isReadOnly: true)
        try UseRecord(Session(options)).note(names)
        #expect(try texts("SELECT FROM shacache.blob_question").isEmpty)
    }

    @Test func `a worker may note use by the function alone`() throws {
        for table in ["blob_question", "key_question"] {
            #expect(throws: DatabaseError.self) {
                try database.connection(as: "shacache_worker").run(
                    SQL(stringLiteral: "INSERT INTO shacache.\(table) SELECT '', now()::date WHERE false"))
            }
        }
    }
}
