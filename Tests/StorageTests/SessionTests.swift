import Fixtures
import Foundation
import OpenSSL
import Postgres
import ShaCache
import Storage
import Testing

struct SessionTests {
    private let database: TestDatabase
    private let session: Session
    private let account: Account

    init() throws {
        database = try TestDatabase()
        session = database.session()
        account = try database.addAccount("alice")
    }

    private func put(_ note: String, under key: Key) throws {
        try Uploader(account: account, database: database).put(note, under: key)
    }

    private func notes(under key: Key) throws -> [String] {
        var notes: [String] = []
        _ = try Entries(session, in: anyStore().files).forEach(of: key) { metadata, _ in
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

    /// Fails without the advisory lock of the key in Entries.storeAlone, or in store_entries.
    @Test func `many at once keep to the limit`() throws {
        let key = try key("k")
        let uploaders = try (0..<4).map { number in
            try database.accounts.add("a\(number)", comment: "", by: "tester")
            let account = try #require(try Identities(session).enabledAccount(named: "a\(number)"))
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

    /// Fails without KeyLimits.bytesPerAccount: one large entry would close the key to all others.
    @Test func `an account fills half of a key's bytes, and leaves the rest to others`() throws {
        let key = try key("k")
        let large = String(repeating: "x", count: 900 - 160)
        try put(large, under: key)
        #expect(
            throws: Refusal.keyIsFull("with this entry the account would have 1049 bytes under the key, more than 1000")
        ) {
            try put("1", under: key)
        }
        let bob = try database.addAccount("bob")
        try Uploader(account: bob, database: database).put(large.replacing("x", with: "y"), under: key)
        #expect(try notes(under: key).count == 2)
    }

    @Test func `a blob whose publishing fails is not recorded`() throws {
        let store = try TestStore()
        let digest = Digest(bytes: Hash.digest(.sha512, of: "x".utf8))
        let blobs = BlobRepository(store.files, session)
        try FileManager.default.createDirectory(
            atPath: "\(store.path(of: digest))/not empty", withIntermediateDirectories: true)
        #expect(throws: StoreError.self) { try store.put("x", by: account, in: session) }
        #expect(try blobs.size(of: digest) == nil)
        try FileManager.default.removeItem(atPath: store.path(of: digest))
        try store.put("x", by: account, in: session)
        try store.put("x", by: account, in: session)
        #expect(try blobs.size(of: digest) == 1)
        #expect(try count("upload WHERE duplicate") == 1)
    }

    @Test func `what was refused is on record`() throws {
        let failure = UploadFailure(status: 403, reason: "not authorized", detail: "none was shown")
        try UploadRecords(session).recordFailure(of: UploadRecord.of(account), failure)
        #expect(try count("upload WHERE outcome = 'refused' AND reason = 'not authorized'") == 1)
    }

    @Test func `a session that the server ended is replaced, and nobody notices`() throws {
        #expect(try Identities(session).enabledAccount(named: "alice") != nil)
        try database.connection(as: "postgres").run(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'shacache_worker' AND datname = current_database()"
        )
        #expect(try Identities(session).enabledAccount(named: "alice") != nil)
        try put("1", under: try key("k"))
    }

    /// A worker may be started before the database is migrated. Without the guard in Account.init it would die.
    @Test func `an account without roles is a schema that is older`() throws {
        try database.connection().run("ALTER TABLE shacache.account DROP COLUMN roles CASCADE")
        #expect(throws: SchemaIsOlder.self) { try Identities(session).enabledAccount(named: "alice") }
    }

    @Test func `a server that is not there is unavailable`() throws {
        let session = Session(ConnectionOptions(connectionString: "host=/nowhere dbname=x", role: "shacache_worker"))
        #expect { try Identities(session).enabledAccount(named: "alice") } throws: {
            ($0 as? DatabaseError)?.kind == .unavailable
        }
    }

    @Test func `a statement that waits too long is given up as unavailable`() throws {
        let impatient = Connection(database.target(as: "shacache_owner", statementTimeLimit: 1))
        #expect { try impatient.run("SELECT pg_sleep(10)") } throws: { ($0 as? DatabaseError)?.kind == .unavailable }
    }

    private func hung() throws -> (Connection, String) {
        let connection = Connection(database.target(as: "shacache_owner", statementTimeLimit: 1))
        let pid = try #require(try connection.run("SELECT pg_backend_pid()").first?.text(0))
        _ = try output(of: "kill", "-STOP", pid)
        return (connection, pid)
    }

    /// Fails without the deadline in Connection.nextResult: the statement time limit is the server's to keep.
    @Test(.timeLimit(.minutes(15))) func `a server that hangs is given up as lost, also while it is told much`() throws
    {
        for length in [1, 4 << 20] {
            let (connection, pid) = try hung()
            defer { _ = try? output(of: "kill", "-CONT", pid) }
            #expect { try connection.run("SELECT \(String(repeating: "x", count: length))::text") } throws: {
                ($0 as? DatabaseError)?.kind == .lost
            }
            #expect(try connection.run("SELECT 1").first?.int(0) == 1)
        }
    }

    /// Fails when Connection.session opens a new session in the middle of a transaction.
    @Test(.timeLimit(.minutes(15))) func `a transaction in which the server hangs is lost, and unknown at its end`()
        throws
    {
        for isAtCommit in [false, true] {
            let (connection, pid) = try hung()
            _ = try output(of: "kill", "-CONT", pid)
            defer { _ = try? output(of: "kill", "-CONT", pid) }
            // COMMIT is prepared by then.
            try connection.transaction {}
            #expect {
                try connection.transaction {
                    try connection.run("SELECT 1")
                    _ = try output(of: "kill", "-STOP", pid)
                    if !isAtCommit { _ = try? connection.run("SELECT 2") }
                    if !isAtCommit { try connection.run("SELECT 3") }
                }
            } throws: {
                ($0 as? DatabaseError)?.kind == (isAtCommit ? .unknownOutcome : .lost)
            }
            #expect(try connection.run("SELECT 1").first?.int(0) == 1)
        }
    }

    /// Fails when Connection.commit, or the COMMIT of a pipeline, is an error like others: it may have happened.
    @Test(.timeLimit(.minutes(15))) func `what commits by itself is unknown when the server hangs`() throws {
        for isPipeline in [false, true] {
            let (connection, pid) = try hung()
            _ = try output(of: "kill", "-CONT", pid)
            defer { _ = try? output(of: "kill", "-CONT", pid) }
            let statement: SQL = "SELECT 1"
            try connection.commit(statement)
            try connection.transaction(statement) { _ in statement }
            #expect {
                if isPipeline {
                    try connection.transaction(statement) { _ in
                        _ = try output(of: "kill", "-STOP", pid)
                        return statement
                    }
                } else {
                    _ = try output(of: "kill", "-STOP", pid)
                    try connection.commit(statement)
                }
            } throws: {
                ($0 as? DatabaseError)?.kind == .unknownOutcome
            }
            #expect(try connection.run("SELECT 1").first?.int(0) == 1)
        }
    }

    /// Fails when Connection.committing takes the server's own word that it ends a session for an unknown outcome, or
    /// when Connection.lastResult forgets that word.
    @Test(.timeLimit(.minutes(15))) func `what an ended session did not complete was not done`() throws {
        let connection = Connection(database.target(as: "shacache_owner"))
        let pid = try #require(try connection.run("SELECT pg_backend_pid()").first?.text(0))
        // Prepared by then: else that would be what the server answers.
        let statement: SQL = "INSERT INTO shacache.audit (actor, action, subject) VALUES ('a', 'b', 'c')"
        try connection.commit(statement)
        let number = try count("audit")
        // It learns of its end when the statement is on its way already.
        _ = try output(of: "kill", "-STOP", pid)
        _ = try output(of: "kill", "-TERM", pid)
        let waking = Thread {
            Thread.sleep(forTimeInterval: 0.3)
            _ = try? output(of: "kill", "-CONT", pid)
        }
        waking.start()
        #expect {
            try connection.commit(statement)
        } throws: {
            $0.isTransient && "\($0)".contains("administrator command")
        }
        #expect(try count("audit") == number)
        while !waking.isFinished { Thread.sleep(forTimeInterval: 0.1) }
    }

    /// Fails when a session's end behind a statement's completion, before its commit, is an error like others.
    @Test(.timeLimit(.minutes(15))) func `what an ended session had completed is unknown`() throws {
        let connection = Connection(database.target(as: "shacache_owner"))
        let pid = try #require(try connection.run("SELECT pg_backend_pid()").first?.text(0))
        try connection.runScript(
            """
            CREATE TEMPORARY TABLE late (number int);
            CREATE FUNCTION pg_temp.sleep() RETURNS trigger LANGUAGE plpgsql
                AS 'BEGIN PERFORM pg_catalog.pg_sleep(30); RETURN NULL; END';
            CREATE CONSTRAINT TRIGGER late AFTER INSERT ON late DEFERRABLE INITIALLY DEFERRED
                FOR EACH ROW EXECUTE FUNCTION pg_temp.sleep();
            """)
        let ending = Thread {
            Thread.sleep(forTimeInterval: 0.5)
            _ = try? output(of: "kill", "-TERM", pid)
        }
        ending.start()
        #expect { try connection.commit("INSERT INTO late VALUES (1)") } throws: {
            ($0 as? DatabaseError)?.kind == .unknownOutcome
        }
        while !ending.isFinished { Thread.sleep(forTimeInterval: 0.1) }
    }

    /// Fails when Connection.pipeline stays in its mode after an error, or without the ROLLBACK behind it.
    @Test func `a pipeline that fails is rolled back, and its session goes on`() throws {
        struct Broken: Error {}
        let connection = database.connection()
        func insert() -> SQL { "INSERT INTO shacache.audit (actor, action, subject) VALUES ('a', 'b', 'c')" }
        let number = try count("audit")
        #expect(throws: DatabaseError.self) { try connection.transaction("SELECT 1/0") { _ in insert() } }
        #expect(throws: DatabaseError.self) { try connection.transaction(insert()) { _ in "SELECT 1/0" } }
        #expect(throws: Broken.self) { try connection.transaction(insert()) { _ in throw Broken() } }
        #expect(try count("audit") == number)
        try connection.transaction(insert()) { _ in insert() }
        #expect(try count("audit") == number.map { $0 + 2 })
    }

    /// Fails without DatabaseBulkhead.
    @Test(.timeLimit(.minutes(15))) func `while a server says nothing, only so many wait for it`() throws {
        let (target, bulkhead) = (database.target(as: "shacache_owner"), DatabaseBulkhead(maximumWaiting: 1))
        let waiting = Thread { _ = try? Connection(target, bulkhead: bulkhead).run("SELECT pg_sleep(3)") }
        waiting.start()
        Thread.sleep(forTimeInterval: 1.5)
        let second = Connection(target, bulkhead: bulkhead)
        let begin = ContinuousClock.now
        #expect { try second.run("SELECT 1") } throws: { ($0 as? DatabaseError)?.kind == .unavailable }
        #expect(begin.duration(to: .now) < .seconds(0.5))
        while !waiting.isFinished { Thread.sleep(forTimeInterval: 0.1) }
        #expect(try second.run("SELECT 1").first?.int(0) == 1)
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
        try Entries(database.session(), in: anyStore().files).store(entry, under: key, upload: upload, limits: limits)
    }
}
