import Client
import OpenSSL
import Synchronization
import Testing

struct TrustedCertificatesTests {
    private static let broken = "-----BEGIN CERTIFICATE-----\nbm8=\n-----END CERTIFICATE-----\n"

    private let pem: String

    init() throws { pem = try SignaturePair(commonName: "signer", bits: 1024).certificate.pem() }

    @Test func `a certificate that can't be read is a warning, and keeps none of the others out`() {
        let warnings = Mutex<[String]>([])
        let reporter = Reporter(
            warn: { text in warnings.withLock { $0.append(text) } }, note: { _ in }, progress: { _ in })
        let trusted = TrustedCertificates("text\n\(pem)\(Self.broken)\(pem)", reporter: reporter)
        #expect(trusted.members.map(\.name) == ["signer", "signer"])
        #expect(warnings.withLock { $0.count } == 1)
        #expect(warnings.withLock { $0.first }?.hasPrefix("certificate 2 of 3 in ") == true)
    }

    @Test func `a file with a certificate that can't be read is refused`() throws {
        #expect(throws: OpenSSLError.self) { try Certificate.list(pem: Array("\(pem)\(Self.broken)".utf8)) }
    }

    @Test func `a file without a certificate is refused`() throws {
        let key = try PrivateKey.generateRSA(bits: 1024).pem()
        for text in ["", "text", key] {
            #expect(throws: OpenSSLError.self) { try Certificate.list(pem: Array(text.utf8)) }
        }
    }

    @Test func `what surrounds certificates is left out, also a key`() throws {
        let key = try PrivateKey.generateRSA(bits: 1024).pem()
        #expect(try Certificate.list(pem: Array("\(key)text\n\(pem)\(key)\(pem)".utf8)).count == 2)
    }
}
