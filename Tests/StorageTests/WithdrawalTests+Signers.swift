import Fixtures
import Foundation
import OpenSSL
import Postgres
import ShaCache
import Storage
import Synchronization
import Testing

extension WithdrawalTests {
    private func addSigner() throws -> Signer.ID {
        let certificate = try SigningKey().certificate()
        try Signers(admin).add(
            "carol", publicKey: certificate.publicKey().der(), certificate: certificate.pem(), by: "tester")
        return try #require(try Signers(worker).known().trusted.first?.id)
    }

    @Test func `revoking a signer since a date hides what it signed from then on`() throws {
        let signer = try addSigner()
        for note in ["old", "new"] { try list(note, under: "k", by: alice, result: .verified(signer), in: worker) }
        try list("other", under: "k", by: alice, in: worker)
        try database.connection().run("UPDATE shacache.entry SET created_at = '2020-01-01' WHERE id = 1")
        let outcome = try #require(
            try Signers(admin).revoke("carol", since: 1_600_000_000, by: "tester", in: store.files))
        #expect(outcome.count == 1)
        #expect(try notes("k") == ["old", "other"])
        #expect(try audit().contains("tester signer revoke since 2020-09-13 12:26:40 UTC"))
        #expect(try adminBlobs.lift(outcome.number, by: "tester"))
        #expect(try notes("k") == ["old", "new", "other"])
        #expect(try Signers(admin).revoke("carol", since: 4_000_000_000, by: "tester", in: store.files) == nil)
    }

    /// Fails without Signers.confirmSigners, or the comparison of versions in store_entries.
    @Test func `an entry whose signer was revoked since it was verified is not stored as verified`() throws {
        let signer = try addSigner()
        let version = try Signers(worker).known().version
        try list("0", under: "k", by: alice, result: .verified(signer), signers: version, in: worker)
        try Signers(admin).revoke("carol", by: "tester", in: store.files)
        #expect(throws: ChangedMeanwhile.signers) {
            try list("1", under: "k", by: alice, result: .verified(signer), signers: version, in: worker)
        }
        #expect(try notes("k") == ["0"])
    }

    /// Fails without LockOrder.revokingSigner in Signers.revoke, or without LockOrder.storingEntries in store_entries.
    @Test(.timeLimit(.minutes(15))) func `revoking waits for an entry that is being stored, and hides it`() throws {
        let signer = try addSigner()
        let gate = try gateBehindEntries()
        let (database, alice, files) = (database, alice, store.files)
        let listing = Thread {
            try? list("1", under: "k", by: alice, result: .verified(signer), in: database.session())
        }
        listing.start()
        Thread.sleep(forTimeInterval: 1)
        let revoking = Thread {
            _ = try? Signers(database.session(as: "shacache_admin")).revoke("carol", since: 0, by: "tester", in: files)
        }
        revoking.start()
        Thread.sleep(forTimeInterval: 1)
        #expect(!revoking.isFinished)
        try gate.run("SELECT pg_advisory_unlock(7, 7)")
        while !(listing.isFinished && revoking.isFinished) { Thread.sleep(forTimeInterval: 0.05) }
        #expect(try Entries(admin, in: store.files).table(under: Key("k")).rows.count == 1)
        #expect(try notes("k") == [])
    }

    /// Fails when the version of the signers is compared only for signers that were known: the service had looked before
    /// the revocation.
    @Test func `what an unknown key signed is judged anew where that key was revoked meanwhile`() throws {
        let version = try Signers(worker).known().version
        _ = try addSigner()
        try Signers(admin).revoke("carol", since: 0, by: "tester", in: store.files)
        #expect(throws: ChangedMeanwhile.signers) {
            try list("1", under: "k", by: alice, result: .unknownSigner, signers: version, in: worker)
        }
        #expect(try Entries(admin, in: store.files).table(under: Key("k")).rows.isEmpty)
    }

    /// More than a page of them. Fails when Signers.entriesOfUnknown reads one page only.
    @Test func `of an unknown signer's entries all are hidden, and no others'`() throws {
        let (key, other) = (try SigningKey(), try SigningKey())
        for number in 0..<250 {
            let metadata = "{\"sha512\": \"\(digest)\", \"note\": \"\(number)\"}"
            let signature = try (number % 50 == 7 ? other : key).sign(metadata)
            try database.connection().run(
                """
                INSERT INTO shacache.entry (key, metadata, signature, digest, sha512, account_id, signature_result)
                VALUES ('k', \(metadata), \(signature), sha256(\(Array(metadata.utf8))), \(digest.bytes), \(alice.id),
                    'unknown signer')
                """)
        }
        let certificate = try key.certificate()
        try Signers(admin).add(
            "carol", publicKey: certificate.publicKey().der(), certificate: certificate.pem(), by: "tester")
        #expect(try Signers(admin).revoke("carol", since: 0, by: "tester", in: store.files)?.count == 245)
        #expect(try notes("k") == ["7", "57", "107", "157", "207"])
    }

    /// The one who puts a pair again has the entry's row, and asks for the signer's. Fails when Signers.revoke locks
    /// that (FOR UPDATE) and hides in the same transaction, without LockOrder.revokingSigner.
    @Test(.timeLimit(.minutes(15))) func `revoking and putting the same entry again don't stand in each other's way`()
        throws
    {
        let signer = try addSigner()
        try list("1", under: "k", by: alice, result: .verified(signer), in: worker)
        let gate = try gateBehindEntries("UPDATE OF is_shared")
        let (database, bob, files) = (database, bob, store.files)
        let again = Thread {
            try? list("1", under: "k", by: bob, result: .verified(signer), in: database.session())
        }
        again.start()
        Thread.sleep(forTimeInterval: 1)
        let revoked = Mutex(0)
        let revoking = Thread {
            let outcome = try? Signers(database.session(as: "shacache_admin")).revoke(
                "carol", since: 0, by: "tester", in: files)
            revoked.withLock { $0 = outcome?.count ?? 0 }
        }
        revoking.start()
        Thread.sleep(forTimeInterval: 1)
        try gate.run("SELECT pg_advisory_unlock(7, 7)")
        while !(again.isFinished && revoking.isFinished) { Thread.sleep(forTimeInterval: 0.05) }
        #expect(revoked.withLock { $0 } == 1)
        #expect(try notes("k") == [])
        let taken = try database.connection().run("SELECT count(*) FROM shacache.upload WHERE target = 'entry'")
        #expect(taken.first?.int(0) == 2)
    }
}
