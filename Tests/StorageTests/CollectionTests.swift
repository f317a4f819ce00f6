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
    private let store: TestStore
    private let database: TestDatabase
    private let alice: Account
    private let bob: Account

    init() throws {
        store = try TestStore()
        database = try TestDatabase()
        for name in ["alice", "bob"] { try database.accounts.add(name, comment: "", by: "tester") }
        alice = try #require(try Identities(database.session()).enabledAccount(named: "alice"))
        bob = try #require(try Identities(database.session()).enabledAccount(named: "bob"))
    }

    private var admin: Session { database.session(as: "shacache_admin") }
    private var worker: Session { database.session() }

    private static let atOnce = Collection.Times(grace: 0, untouched: 0, delay: 0, trash: 3600)

    private func digest(_ text: String) -> Digest { Digest(bytes: Hash.digest(.sha512, of: text.utf8)) }

    @discardableResult
    private func upload(_ text: String, by account: Account? = nil) throws -> Digest {
        try store.put(text, by: account ?? alice, in: worker)
        return digest(text)
    }

    private func entry(_ note: String, under key: String, naming digest: Digest, by account: Account? = nil) throws {
        try list(note, under: key, by: account ?? alice, naming: digest, in: worker)
    }

    private func collector() -> BlobRepository {
        BlobRepository(store.files, database.session(as: "shacache_collector"))
    }

    private static let everythingOld = """
        DROP TABLE IF EXISTS pg_temp.going_entry, pg_temp.going_blob;
        CREATE TEMPORARY TABLE going_entry AS
            SELECT id AS entry_id, 'old'::text AS policy, 'is old'::text AS why FROM shacache.entry
            WHERE key LIKE 'old%' AND withdrawal_id IS NULL;
        CREATE TEMPORARY TABLE going_blob AS
            SELECT sha512, 'old'::text AS policy, 'is unnamed'::text AS why FROM shacache.blob
            WHERE withdrawal_id IS NULL
                AND NOT EXISTS (SELECT FROM shacache.entry WHERE entry.sha512 = blob.sha512)
        """

    private func plan(_ session: Session) throws { try session.connection.runScript(Self.everythingOld) }

    /// - Parameter afterPlan: what happens behind the plan, and before anything is done by it.
    private func collect(
        _ times: Collection.Times = atOnce, policies: [String] = ["old"], isEmptyingTrash: Bool = false,
        afterPlan: () throws -> Void = {}
    ) throws {
        let collection = try Collection(of: collector(), times, rate: 1_000_000, on: "a", by: "tester")
        _ = try collection.run(policies: policies, isEmptyingTrash: isEmptyingTrash) {
            try plan($0)
            try afterPlan()
        }
    }

    private func run(_ sql: SQL) throws { try database.connection(as: "postgres").run(sql) }

    private func count(_ sql: SQL) throws -> Int { try database.connection(as: "postgres").run(sql).first!.int(0)! }

    private func notes(under key: String) throws -> [String] {
        var notes: [String] = []
        _ = try Entries(worker, in: store.files).forEach(of: Key(key)) { metadata, _ in
            notes.append((try? JSON(Array(metadata))["note"]?.string) ?? "?")
        }
        return notes
    }

    private func isIntact(_ digest: Digest) throws -> Bool {
        try BlobRepository(store.files, worker).servedSize(of: digest) != nil && store.files.isAsStored(digest)
    }

    private func usage(of account: Account) throws -> Int {
        try count("SELECT coalesce(sum(bytes), 0)::bigint FROM shacache.account_usage WHERE account_id = \(account.id)")
    }

    private func isInTrash(_ digest: Digest) -> Bool { access("\(store.directory.path)/trash/\(digest)", F_OK) == 0 }

    /// All that is kept beside blobs and entries is right.
    private func expectRight() throws {
        let report = try StoreCheck(
            of: store.files, admin, repairingAs: nil, isHashing: true, rate: 1 << 30
        ) { if !$0.kind.isHarmless { Issue.record("\($0)") } }.run()
        #expect(report.faults == 0 && report.failures.isEmpty)
    }

    private func audit(_ action: String) throws -> [String] {
        try database.connection().run(
            "SELECT subject || ' ' || detail FROM shacache.audit WHERE action = \(action) ORDER BY id"
        ).map { $0.text(0)! }
    }

    /// Whoever changes a table stands still behind that, until the session that is returned unlocks (7, 7).
    private func gate(behind change: String, of table: String) throws -> Connection {
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
    private func race(
        at gate: Connection, _ first: @escaping @Sendable () throws -> Void,
        meeting second: @escaping @Sendable () throws -> Void
    ) throws {
        let finished = DispatchGroup()
        for (number, action) in [first, second].enumerated() {
            finished.enter()
            Thread {
                #expect(throws: Never.self) { try action() }
                finished.leave()
            }.start()
            let sql: SQL =
                """
                (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')
                > \(number)
                """
            try database.waitForSession(where: sql)
        }
        try gate.run("SELECT pg_advisory_unlock(7, 7)")
        #expect(finished.wait(timeout: .now() + 20) == .success)
    }

    // MARK: Entries

    @Test func `an entry that goes is hidden, and deleted when the grace time is over`() throws {
        let blob = try upload("bytes")
        try entry("1", under: "old", naming: blob)
        try entry("2", under: "new", naming: blob)
        try collect(Collection.Times(grace: 3600, untouched: 0, delay: 0, trash: 0))
        #expect(try notes(under: "old").isEmpty && notes(under: "new") == ["2"])
        try collect(Collection.Times(grace: 3600, untouched: 0, delay: 0, trash: 0))
        #expect(try count("SELECT count(*) FROM shacache.entry") == 2)
        #expect(try audit("entry hide") == ["old entry 1, withdrawal 1, retention policy old: is old"])
        try expectRight()
        try collect()
        #expect(try count("SELECT count(*) FROM shacache.entry") == 1)
        #expect(try audit("entry remove") == ["old entry 1, which named \(blob), retention policy old"])
        #expect(try count("SELECT count(*) FROM shacache.key_count") == 1)
        #expect(try count("SELECT count(*) FROM shacache.withdrawal WHERE removed_at IS NOT NULL") == 1)
        #expect(throws: AdministrationError.self) { try BlobRepository(store.files, admin).lift(1, by: "tester") }
        #expect(try isIntact(blob))
        try expectRight()
    }

    @Test(arguments: [true, false]) func `any upload of what is hidden shows it again`(isOther: Bool) throws {
        let blob = try upload("bytes")
        try entry("1", under: "old", naming: blob)
        try entry("2", under: "old", naming: blob)
        try collect(Collection.Times(grace: 3600, untouched: 0, delay: 0, trash: 0))
        #expect(try notes(under: "old").isEmpty)
        try entry("1", under: "old", naming: blob, by: isOther ? bob : alice)
        #expect(try notes(under: "old") == ["1"])
        try collect(Collection.Times(grace: 0, untouched: 3600, delay: 0, trash: 0))
        #expect(try notes(under: "old") == ["1"])
        #expect(try count("SELECT count(*) FROM shacache.entry") == 1)
        try expectRight()
    }

    /// Fails without the look at shacache.upload in Entries.hideGoing.
    @Test func `what is put again behind the plan is not hidden`() throws {
        let blob = try upload("bytes")
        try entry("1", under: "old", naming: blob)
        try entry("2", under: "old2", naming: blob)
        try collect { try entry("1", under: "old", naming: blob) }
        #expect(try notes(under: "old") == ["1"] && notes(under: "old2").isEmpty)
    }

    /// Its policy keeps it as long as what is new. Fails without `renewed` in record_entries.
    @Test func `what is put again, or restored, is as new`() throws {
        let blob = try upload("bytes")
        let isNew: SQL =
            "SELECT count(*) FROM shacache.entry WHERE coalesce(renewed_at, created_at) > now() - interval '1 hour'"
        let age: SQL = "UPDATE shacache.entry SET created_at = created_at - interval '2 days', renewed_at = NULL"
        let hidden = Collection.Times(grace: 3600, untouched: 0, delay: 0, trash: 0)
        try entry("1", under: "old", naming: blob)
        try run(age)
        #expect(try count(isNew) == 0)
        try entry("1", under: "old", naming: blob)
        #expect(try count(isNew) == 1)
        try run(age)
        try run("UPDATE shacache.upload SET at = at - interval '2 days'")
        try collect(hidden)
        try entry("1", under: "old", naming: blob)
        #expect(try count(isNew) == 1)
        try run(age)
        try run("UPDATE shacache.upload SET at = at - interval '2 days'")
        try collect(hidden)
        #expect(try count(isNew) == 0)
        #expect(try Entries(admin, in: store.files).restoreRetained(1, by: "tester") == 1)
        #expect(try count(isNew) == 1)
    }

    /// Fails without the locks of keys in Entries.hideGoing.
    @Test func `what is put again while it is hidden shows it`() throws {
        let blob = try upload("bytes")
        try entry("1", under: "old", naming: blob)
        let gate = try gate(behind: "UPDATE OF withdrawal_id", of: "entry")
        try race(
            at: gate, { try collect(Collection.Times(grace: 3600, untouched: 0, delay: 0, trash: 0)) },
            meeting: { try list("1", under: "old", by: alice, naming: blob, in: database.session()) })
        #expect(try notes(under: "old") == ["1"])
    }

    @Test func `what is lifted while it is about to be deleted stays`() throws {
        let blob = try upload("bytes")
        for note in ["1", "2"] { try entry(note, under: "old", naming: blob) }
        try collect(Collection.Times(grace: 3600, untouched: 0, delay: 0, trash: 0))
        let finished = DispatchGroup()
        let other = database.connection(as: "postgres")
        try other.transaction {
            // As `collect restore --entry 1`.
            try other.run("SELECT FROM shacache.withdrawal FOR UPDATE")
            try other.run("UPDATE shacache.entry SET withdrawal_id = NULL, renewed_at = now() WHERE id = 1")
            finished.enter()
            Thread {
                #expect(throws: Never.self) {
                    try collect(Collection.Times(grace: 0, untouched: 3600, delay: 0, trash: 0))
                }
                finished.leave()
            }.start()
            try database.waitForSession(where: "wait_event_type = 'Lock'")
        }
        #expect(finished.wait(timeout: .now() + 20) == .success)
        #expect(try notes(under: "old") == ["1"])
        #expect(try count("SELECT count(*) FROM shacache.entry") == 1)
        try expectRight()
    }

    @Test func `what was lifted is not deleted`() throws {
        let blob = try upload("bytes")
        try entry("1", under: "old", naming: blob)
        try collect(Collection.Times(grace: 3600, untouched: 0, delay: 0, trash: 0))
        #expect(try Entries(admin, in: store.files).restoreRetained(under: Key("old"), by: "tester") == 1)
        #expect(throws: CollectionError.self) {
            try Entries(admin, in: store.files).restoreRetained(under: Key("old"), by: "tester")
        }
        #expect(try audit("entry restore") == ["old entry 1, withdrawal 1"])
        try collect(Collection.Times(grace: 0, untouched: 3600, delay: 0, trash: 0))
        #expect(try notes(under: "old") == ["1"])
    }

    @Test func `what a policy hid is restored by the entry, the policy or the withdrawal`() throws {
        let blob = try upload("bytes")
        let kept = Collection.Times(grace: 3600, untouched: 0, delay: 0, trash: 0)
        try entry("1", under: "old", naming: blob)
        try entry("2", under: "old", naming: blob)
        try collect(kept)
        #expect(try Entries(admin, in: store.files).restoreRetained(2, by: "tester") == 1)
        #expect(try notes(under: "old") == ["2"])
        try collect(kept)
        #expect(try Entries(admin, in: store.files).restoreRetained(by: "old", by: "tester") == 2)
        #expect(try notes(under: "old") == ["1", "2"])
        try collect(kept)
        let last = try count("SELECT max(id) FROM shacache.withdrawal")
        #expect(try BlobRepository(store.files, admin).lift(last, by: "tester"))
        #expect(try notes(under: "old") == ["1", "2"])
        try expectRight()
    }

    /// Fails without `policy = ANY` in Entries.retentionWithdrawals.
    @Test func `what a policy hid that is configured no more is not deleted`() throws {
        let blob = try upload("bytes")
        try entry("1", under: "old", naming: blob)
        try collect()
        try collect(policies: [])
        #expect(try count("SELECT count(*) FROM shacache.entry") == 1)
        #expect(try Collections(admin).abandonedPolicies(besides: []) == ["old"])
        #expect(try Collections(admin).abandonedPolicies(besides: ["old"]) == [])
    }

    @Test func `what an operator withdrew stays with its blob, whatever policies say`() throws {
        let blob = try upload("bytes")
        try entry("1", under: "old", naming: blob)
        _ = try Entries(admin, in: store.files).withdraw(
            under: Key("old"), naming: nil, Withdrawal(by: "tester", reason: Reason("why")!))
        for _ in 1...3 { try collect() }
        #expect(try count("SELECT count(*) FROM shacache.entry") == 1)
        #expect(throws: Refusal.self) { try entry("1", under: "old", naming: blob) }
        #expect(try isIntact(blob))
    }

    // MARK: Blobs

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

    /// Fails without SET left_by in Entries.noteLeft.
    @Test func `the policy that removed a blob's last entry is known`() throws {
        let blob = try upload("bytes")
        try entry("1", under: "old", naming: blob)
        try collect()
        #expect(try isIntact(blob))
        try collect()
        #expect(try count("SELECT count(*) FROM shacache.blob") == 0)
        let other = try upload("other")
        try entry("1", under: "old", naming: other)
        let waiting = Collection.Times(grace: 0, untouched: 0, delay: 3600, trash: 0)
        try collect(waiting)
        try collect(waiting)
        #expect(try count("SELECT count(*) FROM shacache.blob WHERE left_by = 'old' AND deleting_at IS NOT NULL") == 1)
        try upload("other")
        #expect(try count("SELECT count(*) FROM shacache.blob WHERE left_by IS NULL AND deleting_at IS NULL") == 1)
    }

    /// As if it had been marked long ago.
    private func mark() throws {
        try collect(Collection.Times(grace: 0, untouched: 0, delay: 7200, trash: 3600))
        try run("UPDATE shacache.blob SET deleting_at = now() - interval '2 hours' WHERE deleting_at IS NOT NULL")
    }

    private static let hour = Collection.Times(grace: 0, untouched: 0, delay: 3600, trash: 3600)

    /// Fails without `deleting_at = NULL` in record_blobs, for a lone upload and one of a group.
    @Test(arguments: [true, false]) func `an upload unmarks a blob that was to go`(isOther: Bool) throws {
        let blob = try upload("bytes")
        try mark()
        try upload("bytes", by: isOther ? bob : alice)
        try collect(Self.hour)
        #expect(try isIntact(blob) && !isInTrash(blob))
    }

    /// Fails without `deleting_at = NULL` in record_entries.
    @Test func `an entry unmarks a blob that was to go`() throws {
        let blob = try upload("bytes")
        try mark()
        try entry("1", under: "new", naming: blob)
        #expect(try count("SELECT count(*) FROM shacache.blob WHERE deleting_at IS NOT NULL") == 0)
        try collect(Self.hour)
        #expect(try isIntact(blob) && !isInTrash(blob))
    }

    /// Fails without the call of unmark in BlobRepository.removeMarked.
    @Test func `what no plan lets go any more is unmarked`() throws {
        let blob = try upload("bytes")
        try mark()
        let collection = try Collection(of: collector(), Self.atOnce, rate: 1000, on: "a", by: "tester")
        _ = try collection.run(policies: []) {
            try plan($0)
            try $0.connection.run("TRUNCATE pg_temp.going_blob")
        }
        #expect(try count("SELECT count(*) FROM shacache.blob WHERE deleting_at IS NOT NULL") == 0)
        #expect(try isIntact(blob))
    }

    /// Fails without last_referenced_at in the DELETE of BlobRepository.remove: the mark is one of before.
    @Test func `what is uploaded behind the plan is not removed`() throws {
        let blob = try upload("bytes")
        try mark()
        try collect(Self.hour) {
            try upload("bytes")
            try run("UPDATE shacache.blob SET deleting_at = now() - interval '2 hours'")
        }
        #expect(try isIntact(blob) && !isInTrash(blob))
    }

    /// Fails without the look at entries in the DELETE of BlobRepository.remove.
    @Test func `what an entry names behind the plan is not removed`() throws {
        let blob = try upload("bytes")
        try mark()
        try collect(Self.hour) {
            try entry("1", under: "new", naming: blob)
            try run(
                """
                UPDATE shacache.blob
                SET deleting_at = now() - interval '2 hours', last_referenced_at = now() - interval '2 hours'
                """)
        }
        #expect(try isIntact(blob) && !isInTrash(blob))
    }

    /// Fails without withdrawal_id in the DELETE of BlobRepository.remove: what is withdrawn blocks its name.
    @Test func `what is withdrawn behind the plan is not removed`() throws {
        let blob = try upload("bytes")
        try mark()
        try collect(Self.hour) {
            _ = try BlobRepository(store.files, admin).withdraw(
                blob, Withdrawal(by: "tester", reason: Reason("why")!))
        }
        #expect(try count("SELECT count(*) FROM shacache.blob WHERE withdrawal_id IS NOT NULL") == 1)
        #expect(throws: Refusal.self) { try upload("bytes") }
    }

    /// Fails without Pins.holdEntry in Entries.hideGoing, and Pins.holdBlob in BlobRepository.remove.
    @Test func `what is pinned behind the plan stays`() throws {
        let (blob, named) = (try upload("bytes"), try upload("named"))
        let pins = Pins(admin)
        let reason = Reason("why")!
        for key in ["old", "old2"] { try entry("1", under: key, naming: named) }
        try collect(Collection.Times(grace: 3600, untouched: 0, delay: 7200, trash: 3600)) {
            _ = try pins.add(.key(Key("old")), because: reason, by: "tester")
        }
        #expect(try notes(under: "old") == ["1"] && notes(under: "old2").isEmpty)
        _ = try pins.add(.entry(2), because: reason, by: "tester")
        try run("UPDATE shacache.blob SET deleting_at = now() - interval '2 hours' WHERE deleting_at IS NOT NULL")
        try collect(Self.hour) { _ = try pins.add(.blob(blob), because: reason, by: "tester") }
        #expect(try count("SELECT count(*) FROM shacache.entry") == 2)
        #expect(try isIntact(blob))
    }

    // MARK: Uploads that meet a removal

    /// Fails without tryLocks in BlobRepository.remove, or without the look at blobs in moveRemoved.
    @Test func `an upload that meets a removal waits, and is a blob of its own`() throws {
        let blob = try upload("bytes")
        try mark()
        let gate = try gate(behind: "DELETE", of: "blob")
        try race(
            at: gate, { try collect(Self.hour) },
            meeting: { try store.put("bytes", by: bob, in: database.session()) })
        try collect(Self.hour)
        #expect(try isIntact(blob))
        #expect(try usage(of: bob) == 5 && usage(of: alice) == 0)
        try expectRight()
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

    /// Fails without SKIP LOCKED in BlobRepository.remove: it waits for the entry, and would hold up all uploads of its page.
    @Test(.timeLimit(.minutes(1))) func `a removal doesn't wait for an entry that is being stored`() throws {
        let blob = try upload("bytes")
        try mark()
        let gate = try gate(behind: "INSERT", of: "entry")
        let finished = DispatchGroup()
        finished.enter()
        Thread {
            #expect(throws: Never.self) {
                try list("1", under: "new", by: alice, naming: blob, in: database.session())
            }
            finished.leave()
        }.start()
        try database.waitForSession(where: "wait_event_type = 'Lock'")
        try collect(Self.hour)
        try gate.run("SELECT pg_advisory_unlock(7, 7)")
        #expect(finished.wait(timeout: .now() + 20) == .success)
        #expect(try isIntact(blob) && notes(under: "new") == ["1"])
        try expectRight()
    }

    // MARK: What a kill leaves

    /// A collection up to a step of it.
    private func removeRows() throws {
        try mark()
        let blobs = collector()
        let record = try CollectionRecord(beginningIn: blobs.session, on: "a", by: "tester")
        try plan(blobs.session)
        let cutoff = Cutoff(planned: "infinity", untouched: 0)
        _ = try blobs.removeMarked(after: "", delay: 0, cutoff, for: record, by: "tester")
    }

    /// Fails without moveRemoved in Collection.remove, or when it doesn't free what came again.
    @Test(arguments: [false, true]) func `killed behind the removal of the row`(isUploaded: Bool) throws {
        let blob = try upload("bytes")
        try removeRows()
        #expect(store.files.isAsStored(blob))
        if isUploaded { try upload("bytes", by: bob) }
        // Nothing goes by this plan.
        try collect(Collection.Times(grace: 0, untouched: 3600, delay: 3600, trash: 3600))
        #expect(try isIntact(blob) == isUploaded)
        #expect(isInTrash(blob) == !isUploaded)
        #expect(try usage(of: alice) == (isUploaded ? 0 : 5) && usage(of: bob) == (isUploaded ? 5 : 0))
        try expectRight()
    }

    /// Fails when moveRemoved doesn't free what came again.
    @Test(arguments: [false, true]) func `killed behind the move of the file`(isUploaded: Bool) throws {
        let blob = try upload("bytes")
        try removeRows()
        try store.files.moveToTrash([blob])
        if isUploaded { try upload("bytes", by: bob) }
        try collect(Collection.Times(grace: 0, untouched: 3600, delay: 3600, trash: 3600))
        #expect(try isIntact(blob) == isUploaded)
        #expect(isInTrash(blob) == !isUploaded)
        #expect(try usage(of: alice) == (isUploaded ? 0 : 5) && usage(of: bob) == (isUploaded ? 5 : 0))
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
        #expect(try store.files.restoreFromTrash(blob))
        try collector().restoreRemoved(blob, by: "tester", because: "it is missed")
        #expect(try isIntact(blob))
        try expectRight()
    }

    // MARK: Trash

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
        for each in [blob, other] { try store.files.moveToTrash([each]) }
        try upload("other")
        let report = try StoreCheck(
            of: store.files, admin, repairingAs: nil, isHashing: false, rate: 1 << 30
        ) { #expect($0.kind == .trashed && $0.name == "\(blob)") }.run()
        #expect(report.faults == 1)
        try collect(Collection.Times(grace: 0, untouched: 3600, delay: 0, trash: 3600))
        #expect(try isIntact(blob) && isIntact(other) && !isInTrash(blob) && !isInTrash(other))
        try store.files.moveToTrash([blob])
        let repaired = try StoreCheck(
            of: store.files, admin, repairingAs: "tester", isHashing: false, rate: 1 << 30
        ) { _ in }.run()
        #expect(try repaired.faults == 0 && isIntact(blob))
    }

    // MARK: Two, and none

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
