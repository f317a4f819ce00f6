import Fixtures
import Foundation
import OpenSSL
import Postgres
import ShaCache
import Storage
import Testing

struct AdministrationTests {
    private let database: TestDatabase
    private let admin: Session
    private let worker: Session

    init() throws {
        database = try TestDatabase()
        admin = database.session(as: "shacache_admin")
        worker = database.session()
        try database.accounts.add("alice", comment: "builds", by: "tester")
    }

    private func certificate() throws -> Certificate {
        try CertificateAuthority.create(name: "self", key: .generate(), days: 1)
    }

    private func standing(_ certificate: Certificate) throws -> String {
        switch try Identities(worker).status(ofCertificate: certificate.fingerprint()) {
        case .valid(let account): "valid \(account.name)"
        case .unknown: "unknown"
        case .revoked(let account): "revoked \(account.name)"
        case .expired(let account): "expired \(account.name)"
        case .disabled(let account): "disabled \(account.name)"
        }
    }

    private func audit() throws -> [String] {
        try database.connection().run("SELECT actor || ' ' || action || ' ' || subject FROM shacache.audit ORDER BY id")
            .map { $0.text(0)! }
    }

    @Test func `a certificate stands for its account until it is revoked`() throws {
        let (old, new) = (try certificate(), try certificate())
        #expect(try standing(old) == "unknown")
        for certificate in [old, new] {
            try database.certificates.add(certificate, of: "alice", origin: .registered, by: "tester")
        }
        #expect(try standing(old) == "valid alice")
        _ = try database.certificates.revoke(hex(old.fingerprint()), by: "tester")
        #expect(try standing(old) == "revoked alice")
        #expect(try standing(new) == "valid alice")
    }

    /// On a TLS connection that stood already, or is resumed. Fails without not_after in Identities.status.
    @Test func `a certificate counts until it expires, and one that is revoked is called so`() throws {
        let certificate = try certificate()
        try database.certificates.add(certificate, of: "alice", origin: .registered, by: "tester")
        try database.connection().run(
            "UPDATE shacache.certificate SET not_before = now() - interval '1 day', not_after = now()")
        #expect(try standing(certificate) == "expired alice")
        _ = try database.certificates.revoke(hex(certificate.fingerprint()), by: "tester")
        #expect(try standing(certificate) == "revoked alice")
    }

    /// Fails without the look at revoked certificates in Certificates.add.
    @Test(arguments: [CertificateOrigin.issued, .signed, .renewed, .registered])
    func `no certificate is added for a key that had one revoked`(_ origin: CertificateOrigin) throws {
        let key = try PrivateKey.generate()
        let made = try [1, 2].map { try CertificateAuthority.create(name: "self", key: key, days: $0) }
        try database.certificates.add(made[0], of: "alice", origin: .registered, by: "tester")
        _ = try database.certificates.revoke(hex(made[0].fingerprint()), by: "tester")
        #expect { try database.certificates.add(made[1], of: "alice", origin: origin, by: "tester") } throws: {
            "\($0)" == "\(hex(try! made[0].fingerprint())), which is for the same key, is revoked"
        }
    }

    @Test func `a disabled account can come back`() throws {
        let certificate = try certificate()
        try database.certificates.add(certificate, of: "alice", origin: .registered, by: "tester")
        try database.accounts.setEnabled(false, "alice", by: "tester")
        #expect(try standing(certificate) == "disabled alice")
        #expect(try Identities(worker).enabledAccount(named: "alice") == nil)
        try database.accounts.setEnabled(true, "alice", by: "tester")
        #expect(try standing(certificate) == "valid alice")
    }

    @Test func `each change is on record with who made it, and none that failed`() throws {
        #expect(throws: AdministrationError.self) { try database.accounts.add("alice", comment: "", by: "tester") }
        #expect(throws: AdministrationError.self) {
            try database.accounts.add("Alice Smith", comment: "", by: "tester")
        }
        #expect(throws: AdministrationError.self) { try database.accounts.setEnabled(false, "bob", by: "tester") }
        #expect(throws: AdministrationError.self) {
            try Signers(admin).revoke("bob", by: "tester", in: anyStore().files)
        }
        try database.accounts.setEnabled(false, "alice", by: "other")
        let rows = try audit()
        #expect(rows == ["tester account add alice", "other account disable alice"])
    }

    @Test func `a revoked signer's signatures count no more`() throws {
        let key = try SigningKey()
        let certificate = try key.certificate()
        try Signers(admin).add(
            "bob", publicKey: certificate.publicKey().der(), certificate: certificate.pem(), by: "tester")
        #expect(try Signers(worker).known().trusted.count == 1)
        #expect(throws: AdministrationError.self) {
            try Signers(admin).add(
                "bobby", publicKey: certificate.publicKey().der(), certificate: certificate.pem(), by: "tester")
        }
        try Signers(admin).revoke("bob", by: "tester", in: anyStore().files)
        #expect(try Signers(worker).known().trusted.isEmpty)
    }
}
