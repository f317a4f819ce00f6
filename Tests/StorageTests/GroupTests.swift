import Dispatch
import Fixtures
import Foundation
import OpenSSL
import Postgres
import ShaCache
import Storage
import Synchronization
import Testing

/// Uploads that several threads of a process store together: what happens to one is no matter of the others.
struct GroupTests {
    private let database: TestDatabase
    private let store: TestStore
    private let alice: Account
    /// Of one group at a time, so that all that come meanwhile are gathered.
    private let groups = (blobs: BlobGroups(mostGroups: 1), entries: EntryGroups(mostGroups: 1))

    init() throws {
        database = try TestDatabase()
        store = try TestStore()
        alice = try database.addAccount("alice")
    }

    /// Does all at once, each in a thread with a session of its own, while the record of uploads is locked; so all but the
    /// first are gathered.
    ///
    /// - Parameter meanwhile: before the lock is released.
    /// - Returns: what each threw.
    private func gather(
        _ uploads: [@Sendable (Session) throws -> Void], meanwhile: () throws -> Void = {}
    ) throws -> [(any Error)?] {
        let outcomes = Mutex<[(any Error)?]>(Array(repeating: nil, count: uploads.count))
        let finished = DispatchGroup()
        let gate = database.connection()
        try gate.transaction {
            try gate.run("LOCK TABLE shacache.upload IN EXCLUSIVE MODE")
            for (index, upload) in uploads.enumerated() {
                finished.enter()
                let database = database
                Thread {
                    do { try upload(database.session()) } catch { outcomes.withLock { $0[index] = error } }
                    finished.leave()
                }.start()
                // The first leads a group of its own, and waits.
                if index == 0 { try database.waitForSession(where: "wait_event_type = 'Lock'") }
            }
            // The others have a file to write, and wait in their threads.
            Thread.sleep(forTimeInterval: 1)
            try meanwhile()
        }
        #expect(finished.wait(timeout: .now() + 30) == .success)
        return outcomes.withLock { $0 }
    }

    private func transactions(of table: SQL, where condition: SQL = "true") throws -> Int? {
        try database.connection().run(
            "SELECT count(DISTINCT xmin::text) FROM shacache.\(table) WHERE \(condition)"
        ).first?.int(0)
    }

    private func blob(_ text: String, by account: Account? = nil) -> @Sendable (Session) throws -> Void {
        { [store, alice, groups] in try store.put(text, by: account ?? alice, in: $0, groups: groups.blobs) }
    }

    private func entry(
        _ key: String, by account: Account? = nil, most: Int = 100
    ) -> @Sendable (Session) throws -> Void {
        { [alice, groups] in
            try list("1", under: key, by: account ?? alice, in: $0, most: most, groups: groups.entries)
        }
    }

    private func texts(_ count: Int) -> [String] { (0..<count).map { "\($0)" } }

    private func stored(_ text: String) throws -> Bool {
        let digest = Digest(bytes: Hash.digest(.sha512, of: text.utf8))
        let isVisible = try store.files.presence(of: digest) == .intact
        #expect(try (BlobRepository(store.files, database.session()).size(of: digest) != nil) == isVisible)
        return isVisible
    }

    @Test func `blobs that wait are stored in one transaction`() throws {
        let outcomes = try gather(texts(9).map { blob($0) })
        #expect(outcomes.allSatisfy { $0 == nil })
        for text in texts(9) { #expect(try stored(text)) }
        #expect(try transactions(of: "blob") == 2)
        #expect(try AccountUsage(database.session(as: "shacache_admin")).compare().isRight)
    }

    @Test func `entries that wait are stored in one transaction`() throws {
        let outcomes = try gather(texts(9).map { entry($0) })
        #expect(outcomes.allSatisfy { $0 == nil })
        #expect(try transactions(of: "entry") == 2)
    }

    /// Of one key, or with the same bytes, one at a time. Fails without UploadGroups.GroupQueue.busy: for the same row, one of a
    /// group would break the constraint for all.
    @Test func `the same uploads at once are stored once`() throws {
        let outcomes = try gather((texts(3) + texts(3) + texts(3)).map { blob($0) } + texts(6).map { _ in entry("k") })
        #expect(outcomes.allSatisfy { $0 == nil })
        let duplicates = try database.connection().run("SELECT count(*) FROM shacache.upload WHERE duplicate").first
        #expect(duplicates?.int(0) == 11)
        // The first by itself, then three groups with one of each.
        #expect(try transactions(of: "upload", where: "target = 'blob'") == 4)
    }

    /// Fails when an upload over its quota is an error of its group, and no verdict (admit_blobs).
    @Test func `of a group in which one blob is refused, the others are stored`() throws {
        let bob = try database.addAccount("bob") { $0.limits = [.bytes: 1] }
        let outcomes = try gather(
            texts(5).map { blob($0) } + [blob("too large", by: bob)] + texts(9)[5...].map { blob($0) })
        #expect(outcomes.indices.filter { outcomes[$0] != nil } == [5])
        guard case .accountLimit = outcomes[5] as? Refusal else { throw try #require(outcomes[5]) }
        for text in texts(9) { #expect(try stored(text)) }
        #expect(try !stored("too large"))
    }

    /// Of an account with a quota, several in one group are counted together. Fails without the sums in admit_blobs.
    @Test func `a group keeps to a quota to the byte`() throws {
        try database.accounts.set("alice", by: "tester") { $0.limits = [.bytes: 5, .entriesPerDay: 3] }
        let alice = try Identities(database.session()).enabledAccount(named: "alice")
        let outcomes = try gather(texts(9).map { blob($0, by: alice) } + texts(9).map { entry($0, by: alice) })
        #expect(outcomes[..<9].count { $0 == nil } == 5)
        #expect(outcomes[9...].count { $0 == nil } == 3)
        #expect(outcomes.allSatisfy { $0 == nil || $0 is Refusal })
        #expect(try texts(9).count { try stored($0) } == 5)
        #expect(try AccountUsage(database.session(as: "shacache_admin")).compare().isRight)
    }

    @Test func `of a group in which one entry is refused, the others are stored`() throws {
        let bob = try database.addAccount("bob")
        try database.accounts.setEnabled(false, "bob", by: "tester")
        let outcomes = try gather(texts(5).map { entry($0) } + [entry("k", by: bob)])
        #expect(outcomes.indices.filter { outcomes[$0] != nil } == [5])
        #expect(outcomes[5] as? ChangedMeanwhile == .identity)
    }

    /// Fails when PublishedGroup throws what `link` throws.
    @Test func `of a group in which one file can't be published, the others are stored`() throws {
        let broken = store.path(of: Digest(bytes: Hash.digest(.sha512, of: "2".utf8)))
        try FileManager.default.createDirectory(atPath: "\(broken)/not empty", withIntermediateDirectories: true)
        let outcomes = try gather(texts(5).map { blob($0) })
        #expect(outcomes.indices.filter { outcomes[$0] != nil } == [2])
        #expect(outcomes[2] is StoreError)
        for text in ["0", "1", "3", "4"] { #expect(try stored(text)) }
    }

    /// Fails when the functions of groups wait for a lock: pg_advisory_xact_lock in place of pg_try_advisory_xact_lock.
    @Test(.timeLimit(.minutes(15))) func `who meets a held lock waits by itself, and holds up none`() throws {
        let digest = Digest(bytes: Hash.digest(.sha512, of: "2".utf8))
        let finished = Mutex<[String]>([])
        let uploads = texts(5).map { text in
            { @Sendable [blob = blob(text), entry = entry(text)] (session: Session) in
                try blob(session)
                try entry(session)
                finished.withLock { $0.append(text) }
            }
        }
        let database = database
        let holding = Thread {
            let holder = database.connection(as: "shacache_worker")
            try? holder.transaction {
                try holder.run("SELECT pg_advisory_xact_lock(shacache.blob_lock(\(digest.bytes)))")
                while finished.withLock({ $0.count }) < 4 { Thread.sleep(forTimeInterval: 0.01) }
            }
        }
        holding.start()
        try database.waitForSession(
            where: """
                EXISTS (SELECT FROM pg_locks WHERE pg_locks.pid = pg_stat_activity.pid AND locktype = 'advisory' AND granted)
                """)
        let outcomes = try gather(uploads)
        #expect(outcomes.allSatisfy { $0 == nil })
        #expect(finished.withLock { $0.last } == "2")
    }

    /// Fails without `groupTimeout`: for those that wait already, or for those that come later.
    @Test(.timeLimit(.minutes(15))) func `past a slow group, the next one goes`() throws {
        try database.connection().runScript(
            """
            CREATE FUNCTION shacache.wait() RETURNS trigger LANGUAGE plpgsql AS $$
                BEGIN IF NEW.bytes = 5 THEN PERFORM pg_advisory_xact_lock(1); END IF; RETURN NEW; END$$;
            CREATE TRIGGER wait BEFORE INSERT ON shacache.upload FOR EACH ROW EXECUTE FUNCTION shacache.wait();
            """)
        let groups = BlobGroups()
        let finished = (slow: DispatchGroup(), others: DispatchGroup())
        func start(_ text: String, in group: DispatchGroup) {
            group.enter()
            Thread { [database, store, alice] in
                #expect(throws: Never.self) { try store.put(text, by: alice, in: database.session(), groups: groups) }
                group.leave()
            }.start()
        }
        let gate = database.connection()
        try gate.transaction {
            try gate.run("SELECT pg_advisory_xact_lock(1)")
            start("12345", in: finished.slow)
            try database.waitForSession(where: "wait_event_type = 'Lock'")
            for text in texts(3) { start(text, in: finished.others) }
            #expect(finished.others.wait(timeout: .now() + 20) == .success)
            start("afterwards", in: finished.others)
            #expect(finished.others.wait(timeout: .now() + 20) == .success)
            #expect(finished.slow.wait(timeout: .now()) == .timedOut)
        }
        #expect(finished.slow.wait(timeout: .now() + 20) == .success)
    }

    /// An error of any kind rolls all back, and each goes by itself. Fails without `.alone` for errors in
    /// BlobRepository.storeGroup and Entries.storeGroup.
    @Test func `of a group in which a statement fails, the others are stored`() throws {
        try database.connection().runScript(
            """
            CREATE FUNCTION shacache.fail() RETURNS trigger LANGUAGE plpgsql AS $$
                BEGIN IF NEW.key = '2' OR NEW.bytes = 5 THEN RAISE 'no'; END IF; RETURN NEW; END$$;
            CREATE TRIGGER fail BEFORE INSERT ON shacache.upload FOR EACH ROW EXECUTE FUNCTION shacache.fail();
            """)
        let outcomes = try gather(texts(5).map { entry($0) } + texts(4).map { blob($0) } + [blob("12345")])
        #expect(outcomes.indices.filter { outcomes[$0] != nil } == [2, 9])
        for text in texts(4) { #expect(try stored(text)) }
        #expect(try database.connection().run("SELECT count(*) FROM shacache.entry").first?.int(0) == 4)
    }

    /// Of a group whose session is ended under it, each is stored by itself, or its outcome is unknown: none is stored twice.
    @Test(.timeLimit(.minutes(15))) func `a session that ends in the middle of a group loses nothing`() throws {
        for uploads in [texts(4).map { blob($0) }, texts(4).map { entry($0) }] {
            let outcomes = try gather(uploads) {
                try database.connection(as: "postgres").run(
                    """
                    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                    WHERE usename = 'shacache_worker' AND datname = current_database()
                    """)
            }
            #expect(outcomes.allSatisfy { $0 == nil || ($0 as? DatabaseError)?.kind == .unknownOutcome })
            #expect(outcomes[1...].allSatisfy { $0 == nil })
        }
        #expect(
            try database.connection().run("SELECT count(*) FROM shacache.upload WHERE duplicate").first?.int(0) == 0)
    }
}
