import Fixtures
import Foundation
import OpenSSL
import Postgres
import ShaCache
import Storage
import Testing

struct WithdrawalTests {
    let store: TestStore
    private var directory: TemporaryDirectory { store.directory }
    private var files: LocalBlobs { store.files }
    let database: TestDatabase
    let admin: Session
    let worker: Session
    let alice: Account
    let bob: Account
    let digest = Digest(bytes: Hash.digest(.sha512, of: "bytes".utf8))

    init() throws {
        store = try TestStore()
        database = try TestDatabase()
        (admin, worker) = (database.session(as: "shacache_admin"), database.session())
        alice = try database.addAccount("alice") { $0.roles.insert(.withdraw) }
        bob = try database.addAccount("bob") { $0.roles.insert(.withdraw) }
    }

    private var visible: String { "\(directory.path)/blobs/\(LocalBlobs.place(of: digest))" }
    var hidden: String { "\(directory.path)/withdrawn/\(digest)" }

    func upload(by account: Account) throws { try store.put("bytes", by: account, in: worker) }

    /// As workers and shacache-admin have it.
    var blobs: BlobRepository { BlobRepository(store.files, worker) }
    var adminBlobs: BlobRepository { BlobRepository(store.files, admin) }
    var entries: Entries { Entries(worker, in: store.files) }
    var adminEntries: Entries { Entries(admin, in: store.files) }

    func why(_ account: Account) -> Withdrawal { Withdrawal(by: account, reason: Reason("why")!) }

    var operators: Withdrawal { Withdrawal(by: "tester", reason: Reason("why")!) }

    /// Whoever changes an entry stands still behind that until the session that is returned unlocks (7, 7).
    func gateBehindEntries(_ change: String = "INSERT") throws -> Connection {
        let gate = database.connection()
        try gate.runScript(
            """
            CREATE FUNCTION shacache.wait() RETURNS trigger LANGUAGE plpgsql AS
                $$BEGIN PERFORM pg_advisory_xact_lock(7, 7); RETURN NULL; END$$;
            CREATE TRIGGER wait AFTER \(change) ON shacache.entry FOR EACH ROW EXECUTE FUNCTION shacache.wait();
            SELECT pg_advisory_lock(7, 7);
            """)
        return gate
    }

    func notes(_ key: String) throws -> [String] {
        var notes: [String] = []
        _ = try entries.forEach(of: Key(key)) { metadata, _ in
            notes.append((try? JSON(Array(metadata))["note"]?.string) ?? "?")
        }
        return notes
    }

    func audit() throws -> [String] {
        try database.connection().run("SELECT actor || ' ' || action || ' ' || detail FROM shacache.audit ORDER BY id")
            .map { $0.text(0)! }
    }

    @Test func `a withdrawn blob is absent and blocked, and comes back as it was`() throws {
        try upload(by: alice)
        let outcome = try blobs.withdraw(digest, why(alice))
        #expect(try files.presence(of: digest) == .absent)
        #expect(throws: Refusal.withdrawn("blob", reason: "why")) { try upload(by: alice) }
        #expect(throws: Refusal.self) { try blobs.withdraw(digest, why(alice)) }
        #expect(try files.presence(of: digest) == .absent)
        #expect(try adminBlobs.lift(outcome.number, by: "tester"))
        #expect(try files.presence(of: digest) == .intact)
        #expect(try String(contentsOfFile: visible, encoding: .utf8) == "bytes")
        try upload(by: bob)
        #expect(try audit().suffix(2) == ["account:alice blob withdraw withdrawal 1: why", "tester withdrawal lift "])
        #expect(throws: AdministrationError.self) { try adminBlobs.lift(outcome.number, by: "tester") }
        #expect(throws: AdministrationError.self) { try adminBlobs.lift(7, by: "tester") }
    }

    /// Fails without blob.is_shared, or without the look at others' entries in BlobRepository.checkMayWithdraw.
    @Test func `no account withdraws a blob that others uploaded or list`() throws {
        try upload(by: alice)
        #expect(throws: Refusal.self) { try blobs.withdraw(digest, why(bob)) }
        try list("1", under: "k", by: bob, naming: digest, in: worker)
        #expect(throws: Refusal.self) { try blobs.withdraw(digest, why(alice)) }
        _ = try entries.withdraw(under: Key("k"), naming: nil, why(bob))
        try upload(by: bob)
        for account in [alice, bob] {
            #expect(throws: Refusal.self) { try blobs.withdraw(digest, why(account)) }
        }
        #expect(try files.presence(of: digest) == .intact)
        _ = try adminBlobs.withdraw(digest, operators)
        #expect(try files.presence(of: digest) == .absent)
        for account in [alice, bob] {
            #expect(throws: Refusal.withdrawn("blob", reason: "why")) { try upload(by: account) }
        }
    }

    /// Nobody blocks a name for others. Fails when ExistingUpload.init asks for less than an operator's withdrawal or one's own.
    @Test func `what an account withdrew comes back with the upload of another one, and is both's then`() throws {
        try upload(by: alice)
        let outcome = try blobs.withdraw(digest, why(alice))
        try blobs.admit(digest, size: 5, of: bob)
        try upload(by: bob)
        #expect(try files.presence(of: digest) == .intact)
        #expect(
            try audit().suffix(1) == ["account:bob withdrawal lift uploaded again: blob \(digest)"])
        #expect(throws: AdministrationError.self) { try adminBlobs.lift(outcome.number, by: "tester") }
        // What was hidden is not needed any more.
        #expect(try blobs.restoreFile(digest))
        #expect(access(hidden, F_OK) != 0)
        #expect(throws: Refusal.self) { try blobs.withdraw(digest, why(alice)) }
        #expect(try files.presence(of: digest) == .intact)
        try upload(by: alice)
    }

    /// Fails without Withdrawal.hideable: there would be nothing to withdraw, and the next upload would show it again.
    @Test func `an operator withdraws for everybody what an account withdrew for itself`() throws {
        try upload(by: alice)
        let own = try blobs.withdraw(digest, why(alice))
        let outcome = try adminBlobs.withdraw(digest, operators)
        #expect(throws: Refusal.withdrawn("blob", reason: "why")) { try upload(by: bob) }
        #expect(try files.presence(of: digest) == .absent)
        #expect(try audit().suffix(1) == ["tester withdrawal lift withdrawal \(outcome.number) takes its place"])
        #expect { try adminBlobs.lift(own.number, by: "tester") } throws: {
            "\($0)".contains("tester has lifted it")
        }
        #expect(throws: Refusal.self) { try adminBlobs.withdraw(digest, operators) }
        #expect(try adminBlobs.lift(outcome.number, by: "tester"))
        try upload(by: bob)
    }

    /// As a worker, over HTTPS; and by number. Fails without Withdrawal.hideable.
    @Test func `an operator withdraws entries for everybody that an account withdrew for itself`() throws {
        try database.accounts.set("bob", by: "tester") { $0.roles = [.operator] }
        let bob = try #require(try Identities(worker).enabledAccount(named: "bob"))
        for note in ["1", "2", "3"] { try list(note, under: "k", by: alice, in: worker) }
        let own = try entries.withdraw(under: Key("k"), naming: nil, why(alice))
        #expect(try adminEntries.withdrawNumbered([1], operators).count == 1)
        // It hides the others still.
        #expect(try Withdrawals(admin).table().rows.first?.last == .null)
        #expect(try entries.withdraw(under: Key("k"), naming: nil, why(bob)).count == 2)
        #expect(throws: AdministrationError.self) { try adminBlobs.lift(own.number, by: "tester") }
        let carol = try database.addAccount("carol")
        for note in ["1", "2", "3"] {
            #expect(throws: Refusal.withdrawn("entry", reason: "why")) {
                try list(note, under: "k", by: carol, in: worker)
            }
        }
    }

    /// Fails without the triggers on blob and withdrawal.
    @Test func `the role of workers undoes nothing that operators did`() throws {
        try upload(by: alice)
        _ = try adminBlobs.withdraw(digest, operators)
        let session = database.connection(as: "shacache_worker")
        for change in [
            "UPDATE shacache.blob SET withdrawal_id = NULL",
            "UPDATE shacache.withdrawal SET lifted_at = now(), lifted_by = 'x'",
        ] {
            #expect { try session.runScript(change) } throws: { "\($0)".contains("only shacache-admin lifts") }
        }
    }

    /// Fails without isNeedless in LocalBlobs.move: the damaged file would replace the good one.
    @Test func `where a blob's file is hidden and shown, the intact one is kept`() throws {
        try upload(by: alice)
        try Data("Bytes".utf8).write(to: URL(filePath: hidden))
        #expect(try blobs.restoreFile(digest))
        #expect(try String(contentsOfFile: visible, encoding: .utf8) == "bytes")
        #expect(access(hidden, F_OK) != 0)
        try FileManager.default.moveItem(atPath: visible, toPath: hidden)
        try Data("Bytes".utf8).write(to: URL(filePath: visible))
        #expect(try blobs.restoreFile(digest))
        #expect(try String(contentsOfFile: visible, encoding: .utf8) == "bytes")
    }

    /// As a backup does, to which it went before it was withdrawn. Fails without BlobRepository.hideFile.
    @Test func `a withdrawn blob that came back where readers look is hidden again`() throws {
        try upload(by: alice)
        _ = try blobs.withdraw(digest, why(alice))
        #expect(try blobs.wronglyVisibleBlobs() == [])
        try FileManager.default.copyItem(atPath: hidden, toPath: visible)
        #expect(try blobs.wronglyVisibleBlobs() == [digest])
        #expect(try blobs.hideFile(digest))
        #expect(try files.presence(of: digest) == .absent)
        #expect(try String(contentsOfFile: hidden, encoding: .utf8) == "bytes")
        #expect(try !blobs.hideFile(digest))
    }

    /// Fails when Entries.storeAlone, or store_entries, locks the blob behind the entry.
    @Test(.timeLimit(.minutes(15))) func `withdrawing a blob waits for an entry that is being stored, and sees it`()
        throws
    {
        try upload(by: alice)
        let gate = try gateBehindEntries()
        let (database, store, alice, bob, digest) = (database, store, alice, bob, digest)
        let listing = Thread { try? list("1", under: "k", by: bob, naming: digest, in: database.session()) }
        listing.start()
        Thread.sleep(forTimeInterval: 1)
        let withdrawing = Thread {
            let withdrawal = Withdrawal(by: alice, reason: Reason("why")!)
            _ = try? BlobRepository(store.files, database.session()).withdraw(digest, withdrawal)
        }
        withdrawing.start()
        Thread.sleep(forTimeInterval: 1)
        try gate.run("SELECT pg_advisory_unlock(7, 7)")
        while !(listing.isFinished && withdrawing.isFinished) { Thread.sleep(forTimeInterval: 0.05) }
        #expect(try notes("k") == ["1"])
        #expect(try files.presence(of: digest) == .intact)
    }

    @Test func `an account with the role of operators withdraws what others uploaded`() throws {
        try upload(by: alice)
        try database.accounts.set("bob", by: "tester") { $0.roles = [.operator] }
        let bob = try #require(try Identities(worker).enabledAccount(named: "bob"))
        _ = try blobs.withdraw(digest, why(bob))
        #expect(try files.presence(of: digest) == .absent)
    }

    /// Fails without `restoreFile` in BlobRepository.withdraw.
    @Test func `a withdrawal that fails shows the blob again`() throws {
        try upload(by: alice)
        // Its last step, the commit, fails.
        try database.connection().runScript(
            """
            CREATE FUNCTION shacache.fail() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE 'no'; END$$;
            CREATE CONSTRAINT TRIGGER fail AFTER INSERT ON shacache.withdrawal DEFERRABLE INITIALLY DEFERRED
                FOR EACH ROW EXECUTE FUNCTION shacache.fail();
            """)
        #expect(throws: DatabaseError.self) { try blobs.withdraw(digest, why(alice)) }
        #expect(try files.presence(of: digest) == .intact)
        try upload(by: bob)
    }

    /// Fails when LocalBlobs.hide takes a missing directory for a missing file.
    @Test func `where the directory of withdrawn blobs is missing, nothing is withdrawn`() throws {
        try upload(by: alice)
        try #require(rmdir("\(directory.path)/withdrawn") == 0)
        #expect(throws: StoreError.self) { try blobs.withdraw(digest, why(alice)) }
        #expect(try files.presence(of: digest) == .intact)
        try upload(by: alice)
    }

    @Test func `what a crash has left hidden is shown again, and what is withdrawn is not`() throws {
        try upload(by: alice)
        try FileManager.default.moveItem(atPath: visible, toPath: hidden)
        #expect(try blobs.wronglyHiddenBlobs() == [digest])
        #expect(try blobs.restoreFile(digest))
        #expect(try files.presence(of: digest) == .intact)
        #expect(try !blobs.restoreFile(digest))
        _ = try blobs.withdraw(digest, why(alice))
        #expect(try blobs.wronglyHiddenBlobs() == [])
        #expect(try !blobs.restoreFile(digest))
        #expect(try files.presence(of: digest) == .absent)
    }

    @Test func `a withdrawal that a crash has cut is done by the next`() throws {
        try upload(by: alice)
        try FileManager.default.moveItem(atPath: visible, toPath: hidden)
        let outcome = try blobs.withdraw(digest, why(alice))
        #expect(try files.presence(of: digest) == .absent)
        #expect(try adminBlobs.lift(outcome.number, by: "tester"))
        #expect(try files.presence(of: digest) == .intact)
    }

    /// Fails without the look at the bytes in BlobRepository.lift.
    @Test func `damaged bytes are not shown again, and lost ones come back with the next upload`() throws {
        try upload(by: alice)
        let number = try blobs.withdraw(digest, why(alice)).number
        try #require(chmod(hidden, 0o640) == 0)
        try Data("Bytes".utf8).write(to: URL(filePath: hidden))
        #expect { try adminBlobs.lift(number, by: "tester") } throws: {
            "\($0)".hasSuffix("the file withdrawn/\(digest) has other bytes than its name says")
        }
        #expect(try files.presence(of: digest) == .absent)
        try #require(unlink(hidden) == 0)
        #expect(try !adminBlobs.lift(number, by: "tester"))
        try upload(by: bob)
        #expect(try files.presence(of: digest) == .intact)
    }

    /// A worker puts it back between the two steps of `lift`, as it does at its start, or the program ends there.
    @Test func `what is there already when it is lifted isn't called lost, and lifting goes on where it was cut`()
        throws
    {
        try upload(by: alice)
        let number = try blobs.withdraw(digest, why(alice)).number
        try FileManager.default.moveItem(atPath: hidden, toPath: visible)
        #expect(try adminBlobs.lift(number, by: "tester"))
        try FileManager.default.moveItem(atPath: visible, toPath: hidden)
        #expect(try adminBlobs.lift(number, by: "tester"))
        #expect(try files.presence(of: digest) == .intact)
        #expect(throws: AdministrationError.self) { try adminBlobs.lift(number, by: "tester") }
    }

    /// Fails without the look at withdrawal_id in BlobRepository.size: readers confirm by it what has no attribute.
    @Test func `a withdrawn blob has no size for readers`() throws {
        try upload(by: alice)
        #expect(try blobs.size(of: digest) == 5)
        _ = try blobs.withdraw(digest, why(alice))
        #expect(try blobs.size(of: digest) == nil)
    }

    @Test func `what was withdrawn still counts as stored`() throws {
        try upload(by: alice)
        _ = try blobs.withdraw(digest, why(alice))
        #expect(try AccountUsage(admin).compare().isRight)
        #expect(try database.accounts.table(named: "alice").rows[0].contains(.number("5")))
    }
}
