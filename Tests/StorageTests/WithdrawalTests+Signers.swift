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
        try admin.addSigner(
            "carol", publicKey: certificate.publicKey().der(), certificate: certificate.pem(), by: "tester")
        return try #require(try worker.signers().first?.id)
    }

    @Test func `revoking a signer since a date hides what it signed from then on`() throws {
        let signer = try addSigner()
        for note in ["old", "new"] { try list(note, under: "k", by: alice, result: .verified(signer), in: worker) }
        try list("other", under: "k", by: alice, in: worker)
        try database.connection().run("UPDATE shacache.entry SET created_at = '2020-01-01' WHERE id = 1")
        let outcome = try #require(try admin.revokeSigner("carol", since: 1_600_000_000, by: "tester"))
        #expect(outcome.count == 1)
        #expect(try notes("k") == ["old", "other"])
        #expect(try audit().contains("tester signer revoke since 2020-09-13 12:26:40 UTC"))
        #expect(try admin.lift(outcome.number, in: store, by: "tester"))
        #expect(try notes("k") == ["old", "new", "other"])
        #expect(try admin.revokeSigner("carol", since: 4_000_000_000, by: "tester") == nil)
    }

    /// Fails without Catalog.checkAgain.
    @Test func `an entry whose signer was revoked since it was verified is not stored as verified`() throws {
        let signer = try addSigner()
        try admin.revokeSigner("carol", by: "tester")
        #expect(throws: SignerWasRevoked.self) {
            try list("1", under: "k", by: alice, result: .verified(signer), in: worker)
        }
        #expect(try notes("k") == [])
    }

    /// Fails without Catalog.holdBackEntries, or without Catalog.awaitRevocation in Catalog.recordEntry.
    @Test(.timeLimit(.minutes(1))) func `revoking waits for an entry that is being stored, and hides it`() throws {
        let signer = try addSigner()
        let gate = try gateBehindEntries()
        let (database, alice) = (database, alice)
        let listing = Thread {
            try? list("1", under: "k", by: alice, result: .verified(signer), in: database.catalog())
        }
        listing.start()
        Thread.sleep(forTimeInterval: 1)
        let revoking = Thread {
            _ = try? database.catalog(as: "shacache_admin").revokeSigner("carol", since: 0, by: "tester")
        }
        revoking.start()
        Thread.sleep(forTimeInterval: 1)
        #expect(!revoking.isFinished)
        try gate.run("SELECT pg_advisory_unlock(7, 7)")
        while !(listing.isFinished && revoking.isFinished) { Thread.sleep(forTimeInterval: 0.05) }
        #expect(try admin.entries(under: Key("k")).rows.count == 1)
        #expect(try notes("k") == [])
    }

    /// Fails when Catalog.checkAgain asks only of signers that were known: the service had looked before the revocation.
    @Test func `what an unknown key signed is refused where that key was revoked meanwhile`() throws {
        let key = try SigningKey()
        let certificate = try key.certificate()
        try admin.addSigner(
            "carol", publicKey: certificate.publicKey().der(), certificate: certificate.pem(), by: "tester")
        try admin.revokeSigner("carol", since: 0, by: "tester")
        let metadata = "{\"sha512\": \"\(digest)\"}"
        let entry = try Entry(metadata: metadata, signature: key.sign(metadata))
        var upload = UploadRecord.of(alice, target: .entry)
        (upload.key, upload.sha512, upload.bytes) = (try Key("k"), digest, 1)
        upload.signatureResult = .unknownSigner
        let limits = KeyLimits(entries: 100, bytes: 1 << 20, entriesPerAccount: 100)
        #expect(throws: Refusal.revokedSigner) {
            try worker.recordEntry(entry, under: Key("k"), upload: upload, limits: limits)
        }
        #expect(try admin.entries(under: Key("k")).rows.isEmpty)
    }

    /// More than a page of them. Fails when Catalog.entriesOfUnknown reads one page only.
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
        try admin.addSigner(
            "carol", publicKey: certificate.publicKey().der(), certificate: certificate.pem(), by: "tester")
        #expect(try admin.revokeSigner("carol", since: 0, by: "tester")?.count == 245)
        #expect(try notes("k") == ["7", "57", "107", "157", "207"])
    }

    /// The one who puts a pair again has the entry's row, and asks for the signer's. Fails when Catalog.revokeSigner locks
    /// that (FOR UPDATE) and hides in the same transaction, without Catalog.holdBackEntries.
    @Test(.timeLimit(.minutes(1))) func `revoking and putting the same entry again don't stand in each other's way`()
        throws
    {
        let signer = try addSigner()
        try list("1", under: "k", by: alice, result: .verified(signer), in: worker)
        let gate = try gateBehindEntries("UPDATE OF is_shared")
        let (database, bob) = (database, bob)
        let again = Thread {
            try? list("1", under: "k", by: bob, result: .verified(signer), in: database.catalog())
        }
        again.start()
        Thread.sleep(forTimeInterval: 1)
        let revoked = Mutex(0)
        let revoking = Thread {
            let outcome = try? database.catalog(as: "shacache_admin").revokeSigner("carol", since: 0, by: "tester")
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
