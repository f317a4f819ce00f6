import Fixtures
import Foundation
import OpenSSL
import Postgres
import ShaCache
import Storage
import Testing

struct CatalogTests {
    private let database: TestDatabase
    private let catalog: Catalog
    private let account: Account

    init() throws {
        database = try TestDatabase()
        catalog = database.catalog()
        try database.catalog(as: "shacache_admin").addAccount("alice", comment: "", by: "tester")
        account = try #require(try catalog.enabledAccount(named: "alice"))
    }

    private func put(_ note: String, under key: Key) throws {
        try Uploader(account: account, database: database).put(note, under: key)
    }

    private func notes(under key: Key) throws -> [String] {
        var notes: [String] = []
        _ = try catalog.forEachEntry(of: key) { metadata, _ in
            notes.append((try? JSON(Array(metadata))["note"]?.string) ?? "?")
        }
        return notes
    }

    private func key(_ text: String) throws -> Key { try Key(percentEncoded: Array(text.utf8)) }

    private func count(_ table: String) throws -> Int? {
        try database.connection().run(SQL(stringLiteral: "SELECT count(*) FROM shacache.\(table)")).first?.int(0)
    }

    @Test func `entries come oldest first, and the same pair once`() throws {
        let key = try key("k")
        for note in ["b", "a", "b"] { try put(note, under: key) }
        #expect(try notes(under: key) == ["b", "a"])
        let duplicates = try database.connection().run("SELECT duplicate FROM shacache.upload ORDER BY id")
        #expect(duplicates.map { $0.bool(0) } == [false, false, true])
    }

    @Test func `keys are apart byte for byte`() throws {
        let keys = try ["k", "K", "k%20", "k/", "k//", "caf%C3%A9", "cafe%CC%81"].map { try key($0) }
        for (index, key) in keys.enumerated() { try put("\(index)", under: key) }
        for (index, key) in keys.enumerated() { #expect(try notes(under: key) == ["\(index)"]) }
    }

    /// Fails without the advisory lock in recordEntry.
    @Test func `many at once keep to the limit`() throws {
        let key = try key("k")
        let uploaders = try (0..<4).map { number in
            try database.catalog(as: "shacache_admin").addAccount("a\(number)", comment: "", by: "tester")
            let account = try #require(try catalog.enabledAccount(named: "a\(number)"))
            return Uploader(account: account, database: database)
        }
        DispatchQueue.concurrentPerform(iterations: 16) { number in
            try? uploaders[number % 4].put("\(number)", under: key)
        }
        #expect(try notes(under: key).count == 3)
    }

    @Test func `a key, and an account's share of it, can be full`() throws {
        let key = try key("k")
        try put("1", under: key)
        try put("2", under: key)
        #expect(throws: Refusal.self) { try put("3", under: key) }
        try put("2", under: key)
        #expect(throws: Refusal.self) { try put(String(repeating: "x", count: 2000), under: try self.key("l")) }
        #expect(try count("entry") == 2)
    }

    @Test func `a blob whose publishing fails is not recorded`() throws {
        struct Broken: Error {}
        let digest = Digest(bytes: Hash.digest(.sha512, of: [1]))
        var upload = UploadRecord.of(account)
        (upload.sha512, upload.bytes) = (digest, 1)
        #expect(throws: Broken.self) { try catalog.recordBlob(digest, size: 1, upload: upload) { throw Broken() } }
        #expect(try catalog.size(of: digest) == nil)
        try catalog.recordBlob(digest, size: 1, upload: upload) {}
        try catalog.recordBlob(digest, size: 1, upload: upload) {}
        #expect(try catalog.size(of: digest) == 1)
        #expect(try count("upload WHERE duplicate") == 1)
    }

    @Test func `what was refused is on record`() throws {
        let failure = UploadRecord.Failure(status: 403, reason: "not authorized", detail: "none was shown")
        try catalog.record(UploadRecord.of(account), failure: failure)
        #expect(try count("upload WHERE outcome = 'refused' AND reason = 'not authorized'") == 1)
    }

    @Test func `a session that the server ended is replaced, and nobody notices`() throws {
        #expect(try catalog.enabledAccount(named: "alice") != nil)
        try database.connection(as: "postgres").run(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'shacache_worker' AND datname = current_database()"
        )
        #expect(try catalog.enabledAccount(named: "alice") != nil)
        try put("1", under: try key("k"))
    }

    @Test func `a server that is not there is unavailable`() throws {
        let catalog = Catalog(Connection.Target(connectionString: "host=/nowhere dbname=x", role: "shacache_worker"))
        #expect { try catalog.enabledAccount(named: "alice") } throws: { ($0 as? DatabaseError)?.kind == .unavailable }
    }

    @Test func `a statement that waits too long is given up as unavailable`() throws {
        let impatient = Connection(database.target(as: "shacache_owner", statementTimeLimit: 1))
        #expect { try impatient.run("SELECT pg_sleep(10)") } throws: { ($0 as? DatabaseError)?.kind == .unavailable }
    }

    /// Fails when SQL's quoting of arrays walks Characters: the last four hide a quote or a backslash in one.
    @Test func `values reach the server as they are`() throws {
        let connection = database.connection()
        let texts = [
            "", "'; DROP TABLE x; --", "\"", "\\", "{a,b}", "NULL", "é😀", "a,b", "\"\u{301}", "\\\u{301}",
            "a\"\u{301},NULL,\"b", "\"\u{200d}",
        ]
        for text in texts { #expect(try connection.run("SELECT \(text)::text").first?.text(0) == text) }
        let row = try #require(
            try connection.run(
                "SELECT array_to_json(\(texts)::text[]), \([UInt8](0...255))::bytea, \(nil as Int?)::int"
            ).first)
        let read = try JSONDecoder().decode([String].self, from: Data(try #require(row.text(0)).utf8))
        #expect(read == texts)
        #expect(row.bytes(1) == [UInt8](0...255))
        #expect(row.int(2) == nil)
        #expect(throws: DatabaseError.self) { try connection.run("SELECT \("a\0b")::text") }
    }
}

/// An account that puts entries, from any thread.
private struct Uploader: Sendable {
    let account: Account
    let database: TestDatabase

    func put(_ note: String, under key: Key) throws {
        let metadata = "{\"sha512\": \"\(String(repeating: "c", count: 128))\", \"note\": \"\(note)\"}"
        let entry = try Entry(body: [UInt8](JSONEncoder().encode([metadata, ""])))
        var upload = UploadRecord.of(account, target: .entry)
        (upload.key, upload.sha512, upload.bytes, upload.signatureResult) = (key, entry.sha512, 1, .unsigned)
        let limits = KeyLimits(entries: 3, bytes: 2000, entriesPerAccount: 2)
        try database.catalog().recordEntry(entry, under: key, upload: upload, limits: limits)
    }
}
