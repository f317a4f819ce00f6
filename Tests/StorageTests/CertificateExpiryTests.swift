import OpenSSL
import ShaCache
import Testing

@testable import Storage

struct CertificateExpiryTests {
    private func certificate(_ key: PrivateKey, days: Int) throws -> Certificate {
        try CertificateAuthority.create(name: "self", key: key, days: days)
    }

    private func record(
        _ certificate: Certificate, of account: String = "alice", isRevoked: Bool = false, isKept: Bool = true
    ) throws -> CertificateRecord {
        CertificateRecord(
            fingerprint: hex(try certificate.fingerprint()), account: account, isEnabled: true, isRevoked: isRevoked,
            origin: .issued, notAfter: certificate.notAfter, der: isKept ? try certificate.der() : nil)
    }

    private func expiring(_ records: [CertificateRecord], daysLeft: [Int]) throws -> [String] {
        let inUse = zip(records.map(\.fingerprint), daysLeft)
        return try CertificateRecord.expiring(
            records, withinDays: 21, daysLeft: Dictionary(uniqueKeysWithValues: inUse)
        ).map(\.fingerprint)
    }

    /// Fails when the last day of the notice is counted otherwise.
    @Test func `a certificate expires soon when it has fewer days left than the notice`() throws {
        let records = try [20, 21].map { try record(certificate(.generate(), days: $0)) }
        #expect(try expiring(records, daysLeft: [20, 21]) == [records[0].fingerprint])
    }

    /// Of a disabled account, revoked, or expired: the database lists none of these as in use.
    @Test func `a certificate that is not in use expires unnoticed`() throws {
        #expect(try expiring([record(certificate(.generate(), days: 1))], daysLeft: []).isEmpty)
    }

    @Test func `a certificate is replaced by a later one for its key`() throws {
        let key = try PrivateKey.generate()
        let records = try [2, 90].map { try record(certificate(key, days: $0)) }
        #expect(try expiring(records, daysLeft: [2, 90]).isEmpty)
    }

    /// Fails when isReplaced doesn't look at the key: two machines of an account have one each.
    @Test func `a later certificate for another key replaces none`() throws {
        let records = try [2, 90].map { try record(certificate(.generate(), days: $0)) }
        #expect(try expiring(records, daysLeft: [2, 90]) == [records[0].fingerprint])
    }

    @Test func `only a later one of the same account that is not revoked replaces a certificate`() throws {
        let key = try PrivateKey.generate()
        let (old, new) = (try certificate(key, days: 2), try certificate(key, days: 90))
        #expect(try record(old).isReplaced(by: record(new)))
        #expect(try !record(new).isReplaced(by: record(old)))
        #expect(try !record(old).isReplaced(by: record(old)))
        #expect(try !record(old).isReplaced(by: record(new, of: "bob")))
        #expect(try !record(old).isReplaced(by: record(new, isRevoked: true)))
        #expect(try !record(old, isKept: false).isReplaced(by: record(new)))
    }
}
