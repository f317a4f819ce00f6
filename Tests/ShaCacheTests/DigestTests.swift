import ShaCache
import Testing

struct DigestTests {
    private let name = String(repeating: "0123456789abcdef", count: 8)

    @Test func `uppercase hex becomes lowercase`() throws {
        #expect(try #require(Digest(name.uppercased())).description == name)
    }

    @Test func `bytes and hex mean the same digest`() throws {
        let digest = try #require(Digest(name))
        #expect(digest.bytes.prefix(4) == [0x01, 0x23, 0x45, 0x67])
        #expect(Digest(bytes: digest.bytes) == digest)
    }

    @Test(arguments: [
        "", "0123", String(repeating: "g", count: 128), String(repeating: "0", count: 127),
        String(repeating: "0", count: 129), String(repeating: "é", count: 64),
    ])
    func `other texts are no digest`(_ text: String) {
        #expect(Digest(text) == nil)
    }
}
