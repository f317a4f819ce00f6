import Fixtures
import Foundation
import OpenSSL
import Postgres
import ShaCache
import Testing

@testable import Storage

/// What a collection hides, removes and frees, and what comes in its way. The plans here let go of all entries under keys
/// that begin with `old`, and of all blobs that no entry names.
struct CollectionTests {
    let store: TestStore
    let database: TestDatabase
    let alice: Account
    let bob: Account

    init() throws {
        store = try TestStore()
        database = try TestDatabase()
        (alice, bob) = (try database.addAccount("alice"), try database.addAccount("bob"))
    }

    var admin: Session { database.session(as: "shacache_admin") }
    var worker: Session { database.session() }

    static let atOnce = Collection.Times(grace: 0, untouched: 0, delay: 0, trash: 3600)

    func digest(_ text: String) -> Digest { Digest(bytes: Hash.digest(.sha512, of: text.utf8)) }

    @discardableResult
    func upload(_ text: String, by account: Account? = nil) throws -> Digest {
        try store.put(text, by: account ?? alice, in: worker)
        return digest(text)
    }

    func entry(_ note: String, under key: String, naming digest: Digest, by account: Account? = nil) throws {
        try list(note, under: key, by: account ?? alice, naming: digest, in: worker, store: store)
    }

    /// - Parameter database: another one of the same store; nil: its own.
    func collector(_ database: TestDatabase? = nil) -> BlobRepository {
        BlobRepository(store.files, (database ?? self.database).session(as: "shacache_collector"))
    }

    static let everythingOld = """
        DROP TABLE IF EXISTS pg_temp.going_entry, pg_temp.going_blob;
        CREATE TEMPORARY TABLE going_entry AS
            SELECT id AS entry_id, 'old'::text AS policy, 'is old'::text AS why FROM shacache.entry
            WHERE key LIKE 'old%' AND withdrawal_id IS NULL;
        CREATE TEMPORARY TABLE going_blob AS
            SELECT sha512, 'old'::text AS policy, 'is unnamed'::text AS why FROM shacache.blob
            WHERE withdrawal_id IS NULL
                AND NOT EXISTS (SELECT FROM shacache.entry WHERE entry.sha512 = blob.sha512)
        """

    func plan(_ session: Session) throws { try session.connection.runScript(Self.everythingOld) }

    /// - Parameter afterPlan: what happens behind the plan, and before anything is done by it.
    func collect(
        _ times: Collection.Times = atOnce, policies: [String] = ["old"], isEmptyingTrash: Bool = false,
        in database: TestDatabase? = nil, afterPlan: () throws -> Void = {}
    ) throws {
        let collection = try Collection(of: collector(database), times, rate: 1_000_000, on: "a", by: "tester")
        _ = try collection.run(policies: policies, isEmptyingTrash: isEmptyingTrash) {
            try plan($0)
            try afterPlan()
        }
    }

    func run(_ sql: SQL) throws { try database.connection(as: "postgres").run(sql) }

    func count(_ sql: SQL) throws -> Int { try database.connection(as: "postgres").run(sql).first!.int(0)! }

    func notes(under key: String) throws -> [String] {
        var notes: [String] = []
        _ = try Entries(worker, in: store.files).forEach(of: Key(key)) { metadata, _ in
            notes.append((try? JSON(Array(metadata))["note"]?.string) ?? "?")
        }
        return notes
    }

    func isIntact(_ digest: Digest) throws -> Bool {
        try BlobRepository(store.files, worker).servedSize(of: digest) != nil && store.files.isAsStored(digest)
    }

    func usage(of account: Account) throws -> Int {
        try count("SELECT coalesce(sum(bytes), 0)::bigint FROM shacache.account_usage WHERE account_id = \(account.id)")
    }

    func isInTrash(_ digest: Digest) -> Bool { access("\(store.directory.path)/trash/\(digest)", F_OK) == 0 }

    /// All that is kept beside blobs and entries is right.
    func expectRight(_ database: TestDatabase? = nil) throws {
        let report = try StoreCheck(
            of: store.files, (database ?? self.database).session(as: "shacache_admin"), repairingAs: nil,
            isHashing: true, rate: 1 << 30
        ) { if !$0.kind.isHarmless { Issue.record("\($0)") } }.run()
        #expect(report.faults == 0 && report.failures.isEmpty)
    }

    func audit(_ action: String) throws -> [String] {
        try database.connection().run(
            "SELECT subject || ' ' || detail FROM shacache.audit WHERE action = \(action) ORDER BY id"
        ).map { $0.text(0)! }
    }

    /// Whoever changes a table stands still behind that, until the session that is returned unlocks (7, 7).
    func gate(behind change: String, of table: String) throws -> Connection {
        let gate = database.connection()
        try gate.runScript(
            """
            CREATE FUNCTION shacache.wait() RETURNS trigger LANGUAGE plpgsql AS
                $$BEGIN PERFORM pg_advisory_xact_lock(7, 7); RETURN NULL; END$$;
            CREATE TRIGGER wait AFTER \(change) ON shacache.\(table) FOR EACH ROW EXECUTE FUNCTION shacache.wait();
            SELECT pg_advisory_lock(7, 7);
            """)
        return gate
    }

    /// Does one thing until it stands still at a gate, then another until it waits for that, and opens the gate.
    func race(
        at gate: Connection, _ first: @escaping @Sendable () throws -> Void,
        meeting second: @escaping @Sendable () throws -> Void
    ) throws {
        var threads: [OtherThread] = []
        for (number, action) in [first, second].enumerated() {
            threads.append(OtherThread(action))
            let sql: SQL =
                """
                (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')
                > \(number)
                """
            try database.waitForSession(where: sql)
        }
        try gate.run("SELECT pg_advisory_unlock(7, 7)")
        for thread in threads { thread.expectEnd() }
    }

    /// As if it had been marked long ago.
    func mark() throws {
        try collect(Collection.Times(grace: 0, untouched: 0, delay: 7200, trash: 3600))
        try run("UPDATE shacache.blob SET deleting_at = now() - interval '2 hours' WHERE deleting_at IS NOT NULL")
    }

    static let hour = Collection.Times(grace: 0, untouched: 0, delay: 3600, trash: 3600)

    // MARK: Runs

    /// Fails without tryLock in Collection.init.
    @Test func `a second collection says which one runs, and ends`() throws {
        let first = try Collection(of: collector(), Self.atOnce, rate: 1, on: "host-a", by: "olga")
        let error = #expect(throws: CollectionError.self) {
            try Collection(of: collector(), Self.atOnce, rate: 1, on: "host-b", by: "tester")
        }
        #expect("\(try #require(error))".contains("a collection by olga on host-a"))
        withExtendedLifetime(first) {}
    }

    /// It would go on without its lock.
    @Test func `a session that ended ends the collection, and the next goes on`() throws {
        let blob = try upload("bytes")
        try entry("1", under: "old", naming: blob)
        let collection = try Collection(of: collector(), Self.atOnce, rate: 1000, on: "a", by: "tester")
        #expect(throws: CollectionError.self) {
            try collection.run(policies: ["old"]) {
                try run(
                    """
                    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                    WHERE datname = current_database() AND usename = 'shacache_collector'
                    """)
                // The next one has a plan, and no lock.
                _ = try? plan($0)
                try plan($0)
            }
        }
        #expect(try notes(under: "old") == ["1"])
        try collect()
        #expect(try notes(under: "old").isEmpty)
    }

    /// Fails when Collection.requireSession doesn't ask the server.
    @Test func `a session that ended between two pages ends the collection`() throws {
        let most = CollectionPage<Int>.size + 1
        try run(
            """
            INSERT INTO shacache.trash (sha512, size, account_id, created_at, last_referenced_at, is_shared, policy, moved_at)
            SELECT sha512(convert_to(n::text, 'UTF8')), 1, \(alice.id), now(), now(), false, 'old', now()
            FROM generate_series(1, \(most)) AS n
            """)
        let left: SQL = "SELECT count(*) FROM shacache.trash"
        let ended = OtherThread {
            let times = Collection.Times(grace: 0, untouched: 0, delay: 0, trash: 0)
            let collection = try Collection(
                of: collector(), times, rate: CollectionPage<Int>.size, on: "a", by: "tester")
            #expect { _ = try collection.run(policies: []) { try plan($0) } } throws: {
                if case CollectionError.lostSession = $0 { true } else { false }
            }
        }
        while try count(left) == most { Thread.sleep(forTimeInterval: 0.01) }
        try run(
            """
            SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE datname = current_database() AND usename = 'shacache_collector'
            """)
        ended.expectEnd()
        #expect(try count(left) == 1)
    }

    /// Fails without CollectionPage.last.
    @Test func `more than a page goes in one run`() throws {
        let most = CollectionPage<Int>.size * 2 + 1
        try run(
            """
            INSERT INTO shacache.blob (sha512, size, account_id)
            SELECT sha512(convert_to(n::text, 'UTF8')), 1, \(alice.id) FROM generate_series(1, \(most)) AS n
            """)
        try run("INSERT INTO shacache.account_usage VALUES (\(alice.id), 0, \(most), \(most))")
        for number in 1...most {
            try Data("1".utf8).write(to: URL(filePath: store.path(of: digest("\(number)"))))
        }
        try collect()
        #expect(try count("SELECT count(*) FROM shacache.trash WHERE moved_at IS NOT NULL") == most)
        try collect(isEmptyingTrash: true)
        #expect(try usage(of: alice) == 0 && count("SELECT count(*) FROM shacache.trash") == 0)
    }
}
