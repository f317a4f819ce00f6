import Fixtures
import OpenSSL
import ShaCache
import Testing

@testable import Storage

struct AccountRequestTests {
    private let database: TestDatabase
    private let requests: AccountRequests

    init() throws {
        database = try TestDatabase()
        requests = AccountRequests(database.session())
    }

    private func add(
        _ name: String = "alice", from address: String = "192.0.2.1", key: PrivateKey? = nil, waiting: Int = 100,
        perAddress: Int = 100
    ) throws -> KnownAccountRequest {
        try requests.add(
            CertificateRequest(commonName: "whatever", key: key ?? .generate()), name: name, contact: "c",
            from: address, limits: AccountRequests.Limits(waiting: waiting, perAddress: perAddress))
    }

    private var operators: AccountRequests { AccountRequests(database.session(as: "shacache_admin")) }

    private func age(_ request: KnownAccountRequest, days: Int) throws {
        try database.connection().run(
            """
            UPDATE shacache.account_request SET created_at = created_at - make_interval(days => \(days)),
                decided_at = decided_at - make_interval(days => \(days)) WHERE id = \(request.number)
            """)
    }

    @Test func `only so many wait, and one that is decided makes room`() throws {
        let first = try add(waiting: 2)
        _ = try add(waiting: 2)
        #expect(throws: AccountRequests.Full.list) { try add(waiting: 2) }
        try operators.refuse(first, because: Reason("no")!, by: "tester")
        _ = try add(waiting: 2)
    }

    /// Fails when the network of an IPv6 address isn't what is counted, when the last day's aren't, or when all are.
    @Test func `of an address only so many wait or came within a day`() throws {
        let first = try add(from: "2001:db8::1", perAddress: 1)
        #expect(throws: AccountRequests.Full.address) { try add(from: "2001:db8::2", perAddress: 1) }
        _ = try add(from: "2001:db8:0:1::1", perAddress: 1)
        _ = try add(from: "192.0.2.1", perAddress: 1)
        _ = try add(from: "192.0.2.2", perAddress: 1)
        try operators.refuse(first, because: Reason("no")!, by: "tester")
        #expect(throws: AccountRequests.Full.address) { try add(from: "2001:db8::2", perAddress: 1) }
        try age(first, days: 1)
        _ = try add(from: "2001:db8::2", perAddress: 1)
    }

    @Test func `the same key again is the same request, also when all is full`() throws {
        let key = try PrivateKey.generate()
        let first = try add(key: key)
        let again = try add("bob", from: "192.0.2.9", key: key, waiting: 0, perAddress: 0)
        #expect(again.number == first.number && again.name == "alice")
    }

    /// Fails without the lock: each would count before the others insert.
    @Test func `those that come at once don't exceed the limit together`() throws {
        let holder = database.session()
        let others = try holder.connection.transaction {
            try holder.lock(.requestingAccount)
            let others = (0..<4).map { _ in
                OtherThread { [database] in
                    do {
                        _ = try AccountRequests(database.session()).add(
                            CertificateRequest(commonName: "a", key: .generate()), name: "a", contact: "c",
                            from: "192.0.2.1", limits: AccountRequests.Limits(waiting: 1, perAddress: 9))
                    } catch is AccountRequests.Full {}
                }
            }
            try database.waitForSession(where: "wait_event = 'advisory'")
            return others
        }
        for other in others { other.expectEnd() }
        #expect(try AccountRequestFigures(asking: database.session()).waiting == 1)
    }

    @Test func `what waits too long is forgotten and audited, and what was decided long ago`() throws {
        let (old, decided, new) = (try add("old"), try add("decided"), try add("new"))
        try operators.refuse(decided, because: Reason("no")!, by: "tester")
        for request in [old, decided] { try age(request, days: 30) }
        try operators.forget(olderThan: 30 * 86_400)
        #expect(try operators.table(all: true).rows.map { $0[0].text } == ["\(new.number)"])
        let audited = try database.connection().run(
            "SELECT subject FROM shacache.audit WHERE action = 'account request expire'")
        #expect(audited.map { $0.text(0) } == ["old"])
    }

    /// Fails when `approve` is more than one transaction.
    @Test func `of an approval that fails nothing remains`() throws {
        let key = try PrivateKey.generate()
        let request = try add(key: key)
        let authorityKey = try PrivateKey.generate()
        let authority = try CertificateAuthority(
            chain: [CertificateAuthority.create(name: "CA", key: authorityKey, days: 9)], key: authorityKey)
        let certificate = try authority.sign(
            CertificateRequest(pem: Array(request.signingRequest.utf8)), commonName: "alice", days: 1)
        _ = try database.addAccount("bob")
        let revoked = try authority.sign(CertificateRequest(commonName: "bob", key: key), commonName: "bob", days: 1)
        try database.certificates.add(revoked, of: "bob", origin: .signed, by: "tester")
        _ = try database.certificates.revoke(hex(revoked.fingerprint()), by: "tester")
        #expect(throws: AdministrationError.self) {
            try operators.approve(request, as: "alice", with: certificate, by: "tester") { _ in }
        }
        #expect(try Identities(database.session()).enabledAccount(named: "alice") == nil)
        #expect(try operators.waiting(request.number).name == "alice")
    }
}
