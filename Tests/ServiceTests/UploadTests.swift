import Fixtures
import Foundation
import OpenSSL
import Postgres
import Service
import ShaCache
import Storage
import Testing

struct UploadTests {
    private let files: TestStore
    private var directory: TemporaryDirectory { files.directory }
    private var store: LocalBlobs { files.files }
    private let database: TestDatabase
    private let metadata = "{\"sha512\": \"\(String(repeating: "d", count: 128))\"}"

    init() throws {
        files = try TestStore()
        database = try TestDatabase()
        try database.accounts.add("local", comment: "", by: "tester")
    }

    private func service(_ rules: UploadRules = .forTests(), database target: ConnectionOptions? = nil) -> Service {
        Service(
            store: store, session: Session(target ?? self.database.target(as: "shacache_worker")), rules: rules,
            refusals: RefusalRateLimiter(), monitoring: .alone(self.database.session()))
    }

    private func upload(_ method: String, _ target: String, _ body: String) throws -> Request {
        var request = Request()
        request.method = method
        request.target = Array(target.utf8)
        request.isLocalWriter = true
        request.clientAddress = "127.0.0.1"
        request.contentLength = "\(body.utf8.count)"
        request.bodyFile = try store.spool(Array(body.utf8), in: directory)
        return request
    }

    private func entry(signedBy key: SigningKey?) throws -> Request {
        let signature = try key?.sign(metadata) ?? ""
        let body = try JSONEncoder().encode([metadata, signature])
        return try upload("PUT", "/shadir/k", String(decoding: body, as: UTF8.self))
    }

    private func results() throws -> [String] {
        try database.connection().run("SELECT signature_result FROM shacache.entry ORDER BY id").map { $0.text(0)! }
    }

    @Test func `entries are marked with what their signature is worth`() throws {
        let (known, unknown) = (try SigningKey(), try SigningKey())
        try register(known)
        for key in [known, nil, unknown] {
            #expect(service().answer(try entry(signedBy: key)).response.status.rawValue == 201)
        }
        #expect(try results() == ["verified", "unsigned", "unknown signer"])
    }

    /// Fails without SignaturePolicy.checkResult.
    @Test func `where signatures are required, only registered signers' entries are taken`() throws {
        let (known, unknown) = (try SigningKey(), try SigningKey())
        try register(known)
        let service = service(.forTests(signatures: .require))
        #expect(service.answer(try entry(signedBy: nil)).response.status.rawValue == 403)
        #expect(service.answer(try entry(signedBy: unknown)).response.status.rawValue == 403)
        #expect(service.answer(try entry(signedBy: known)).response.status.rawValue == 201)
        try Signers(database.session(as: "shacache_admin")).revoke("known", by: "tester", in: anyStore().files)
        #expect(service.answer(try entry(signedBy: known)).response.status.rawValue == 403)
        #expect(try results() == ["verified"])
    }

    private func register(_ key: SigningKey) throws {
        let certificate = try key.certificate()
        try Signers(database.session(as: "shacache_admin")).add(
            "known", publicKey: certificate.publicKey().der(), certificate: certificate.pem(), by: "tester")
    }

    @Test func `a blob over the limit is refused, before its body comes and after`() throws {
        let service = service(.forTests(blobSize: 4))
        #expect(service.answer(try upload("POST", "/shacache", "1234")).response.status.rawValue == 201)
        var request = try upload("POST", "/shacache", "12345")
        #expect(service.answer(request).response.status.rawValue == 413)
        (request.contentLength, request.transferEncoding) = ("", "chunked")
        #expect(service.answer(request).response.status.rawValue == 411)
        (request.contentLength, request.purpose) = ("5", .admission)
        let verdict = service.answer(request).response
        #expect(verdict.status.rawValue == 403)
        #expect(verdict.header("X-Refusal-Status") == "413")
        #expect(verdict.header("X-Refusal") == "a blob may have at most 4 bytes: ask the operator for more")
    }

    /// Fails without the comparison of size and length in Service.measure.
    @Test func `a body that is shorter than announced is refused`() throws {
        var request = try upload("POST", "/shacache", "1234")
        request.contentLength = "5"
        let response = service().answer(request).response
        #expect(response.status.rawValue == 400)
        #expect(String(decoding: response.bytes, as: UTF8.self) == "the body ended after 4 of 5 bytes: send it again\n")
    }

    @Test(arguments: ["-1", "x", "1e3", "99999999999999999999"])
    func `a length that is no number is refused`(_ length: String) throws {
        var request = try upload("POST", "/shacache", "1234")
        request.contentLength = length
        #expect(service().answer(request).response.status.rawValue == 400)
    }

    @Test func `a certificate counts when nginx found it good, and not otherwise`() throws {
        let certificate = try CertificateAuthority.create(name: "self", key: .generate(), days: 1)
        try database.certificates.add(
            certificate, of: "local", origin: .registered, by: "tester")
        let escaped = Array(try certificate.pem().replacing("\n", with: "%0A").replacing("+", with: "%2B").utf8)
        for (verdict, status) in [
            ("SUCCESS", 201), ("FAILED:certificate has expired", 403), ("NONE", 403), ("", 403), ("success", 403),
            ("SUCCESS ", 403),
        ] {
            var request = try upload("POST", "/shacache", "1234")
            (request.isLocalWriter, request.certificateVerification) = (false, verdict)
            request.certificate = escaped
            #expect(service().answer(request).response.status.rawValue == status, "\(verdict)")
        }
    }

    /// A certificate that was shown and refused must not fall back to the address.
    @Test func `a bad certificate is refused from a local address too`() throws {
        var request = try upload("POST", "/shacache", "1234")
        request.certificateVerification = "FAILED:certificate revoked"
        #expect(service().answer(request).response.status.rawValue == 403)
    }

    /// Fails without RefusalRateLimiter: anybody could fill the database.
    @Test func `of strangers' refusals some are on record, of an account's many more`() throws {
        let service = service()
        var stranger = try upload("PUT", "/shadir/k", "[]")
        stranger.isLocalWriter = false
        var leftOut = 0
        for _ in 0..<300 { leftOut += try service.recordFailure(of: service.answer(stranger)) }
        let known = try upload("PUT", "/shadir/k", "[]")
        for _ in 0..<5 { leftOut += try service.recordFailure(of: service.answer(known)) }
        func count(_ condition: String) throws -> Int {
            let sql = SQL(stringLiteral: "SELECT count(*) FROM shacache.upload WHERE \(condition)")
            return try #require(try database.connection().run(sql).first?.int(0))
        }
        #expect(try (100..<200).contains(count("account_id IS NULL")))
        #expect(try count("account_id IS NOT NULL") == 5)
        #expect(leftOut < 200)
        for _ in 0..<1300 { leftOut += try service.recordFailure(of: service.answer(known)) }
        #expect(try (1000..<1200).contains(count("account_id IS NOT NULL")))
        #expect(leftOut < 500)
    }

    /// Fails when Service.recordFailure goes by the account alone: it is known whose a revoked certificate was.
    @Test(arguments: ["revoked", "disabled"])
    func `who isn't valid any more has the strangers' allowance`(_ what: String) throws {
        let certificate = try CertificateAuthority.create(name: "self", key: .generate(), days: 1)
        try database.certificates.add(certificate, of: "local", origin: .registered, by: "tester")
        if what == "revoked" {
            _ = try database.certificates.revoke(hex(certificate.fingerprint()), by: "tester")
        } else {
            try database.accounts.setEnabled(false, "local", by: "tester")
        }
        let service = service()
        var request = try upload("PUT", "/shadir/k", "[]")
        request.certificateVerification = "SUCCESS"
        request.certificate = Array(try certificate.pem().replacing("\n", with: "%0A").replacing("+", with: "%2B").utf8)
        for _ in 0..<300 { _ = try service.recordFailure(of: service.answer(request)) }
        let count = try database.connection().run(
            "SELECT count(*) FROM shacache.upload JOIN shacache.account ON account.id = account_id")
        #expect((100..<200).contains(try #require(count.first?.int(0))))
    }

    /// Fails without hideFile in BlobRepository.submit: it would lie where readers look for up to an hour.
    @Test func `an upload that is rolled back shows nothing that is withdrawn`() throws {
        let other = try database.addAccount("other") { $0.roles = [.blobs, .withdraw] }
        let digest = Digest(bytes: Hash.digest(.sha512, of: "1234".utf8))
        try files.put("1234", by: other, in: database.session())
        let blobs = BlobRepository(store, database.session())
        _ = try blobs.withdraw(digest, Withdrawal(by: other, reason: Reason("why")!))
        try database.connection().runScript(
            """
            CREATE FUNCTION shacache.fail() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE 'no'; END$$;
            CREATE CONSTRAINT TRIGGER fail AFTER UPDATE ON shacache.withdrawal DEFERRABLE INITIALLY DEFERRED
                FOR EACH ROW EXECUTE FUNCTION shacache.fail();
            """)
        #expect(service().answer(try upload("POST", "/shacache", "1234")).response.status.rawValue == 500)
        #expect(try store.presence(of: digest) == .absent)
    }

    /// nginx would receive such a body without end. Fails without Service.checkChunks.
    @Test func `an entry says how long it is`() throws {
        var request = try upload("PUT", "/shadir/k", "[]")
        (request.contentLength, request.transferEncoding, request.purpose) = ("", "chunked", .admission)
        #expect(service().answer(request).response.header("X-Refusal-Status") == "411")
    }

    @Test func `without its database the service says so, and downloads go on`() throws {
        let digest = String(
            decoding: service().answer(try upload("POST", "/shacache", "1234")).response.bytes, as: UTF8.self)
        let nowhere = ConnectionOptions(connectionString: "host=/nowhere dbname=x", role: "shacache_worker")
        let service = service(database: nowhere)
        for (method, target) in [("POST", "/shacache"), ("GET", "/shadir/k")] {
            let response = service.answer(try upload(method, target, "1234")).response
            #expect(response.status.rawValue == 503)
            #expect(response.header("Retry-After") == "10")
        }
        var download = Request()
        download.target = Array("/shacache/\(digest)".utf8)
        #expect(service.answer(download).response.status.rawValue == 200)
    }

    @Test func `a blob that came back from a backup without attributes is served when the database knows its size`()
        throws
    {
        let digest = String(
            decoding: service().answer(try upload("POST", "/shacache", "1234")).response.bytes, as: UTF8.self)
        let path = "\(directory.path)/blobs/\(digest.prefix(2))/\(digest)"
        _ = try output(of: "setfattr", "-x", "user.shacache.size", path)
        var download = Request()
        download.target = Array("/shacache/\(digest)".utf8)
        #expect(service().answer(download).response.status.rawValue == 200)
        _ = try output(of: "setfattr", "-x", "user.shacache.size", path)
        #expect(truncate(path, 3) == 0)
        #expect(service().answer(download).response.status.rawValue == 404)
    }
}
