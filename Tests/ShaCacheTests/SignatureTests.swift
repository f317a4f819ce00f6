import Fixtures
import Foundation
import ShaCache
import Testing

struct SignatureTests {
    private static func entry(_ metadata: String, _ signature: String) throws -> Entry {
        try Entry(body: [UInt8](JSONEncoder().encode([metadata, signature])))
    }

    private let metadata = "{\"sha512\": \"\(String(repeating: "b", count: 128))\", \"é\": 1}"

    @Test(arguments: [("-sha1", 1024), ("-sha1", 3072), ("-sha256", 1024)])
    func `the signer is found whose key made the signature`(_ digest: String, _ bits: Int) throws {
        let (other, key) = (try SigningKey(), try SigningKey(bits: bits))
        let signers = [
            Signer(id: 1, key: try other.certificate().publicKey()),
            Signer(id: 2, key: try key.certificate().publicKey()),
        ]
        let entry = try Self.entry(metadata, key.sign(metadata, with: digest))
        #expect(try entry.verify(against: signers) == .verified(2))
        #expect(try entry.verify(against: [signers[0]]) == .unknownSigner)
    }

    @Test func `a signature over other bytes verifies nothing`() throws {
        let key = try SigningKey()
        let signers = [Signer(id: 1, key: try key.certificate().publicKey())]
        let signature = try key.sign(metadata)
        #expect(try Self.entry(metadata + " ", signature).verify(against: signers) == .unknownSigner)
        #expect(try Self.entry(metadata, "YWJj").verify(against: signers) == .unknownSigner)
        #expect(try Self.entry(metadata, "").verify(against: signers) == .unsigned)
    }
}
