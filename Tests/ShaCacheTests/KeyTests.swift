import ShaCache
import Testing

struct KeyTests {
    @Test(arguments: [
        ("pypi:slapos.core=1.0", "pypi:slapos.core=1.0"), ("a+b", "a+b"), ("a%20b", "a b"), ("a%2Fb", "a/b"),
        ("a//b", "a//b"), ("a/../b", "a/../b"), ("%252e", "%2e"), ("<,>&;", "<,>&;"), ("...", "..."), ("A", "A"),
    ])
    func `escapes are decoded once and nothing else is changed`(_ raw: String, _ text: String) throws {
        #expect(Array(try Key(percentEncoded: Array(raw.utf8)).text.utf8) == Array(text.utf8))
    }

    @Test func `differently composed letters stay different`() throws {
        let keys = try ["caf%C3%A9", "cafe%CC%81"].map { Array(try Key(percentEncoded: Array($0.utf8)).text.utf8) }
        #expect(keys[0] != keys[1])
    }

    @Test(arguments: [
        "", ".", "..", "%2e", "%2E%2e", "a%", "a%2", "a%zz", "a%00", "a%0Ab", "%7F", "%C2%85", "%ff", "%ED%A0%80",
    ])
    func `what names nothing, or can't be shown, is refused`(_ raw: String) {
        #expect(throws: Refusal.self) { try Key(percentEncoded: Array(raw.utf8)) }
    }

    @Test func `a key has at most 1024 bytes, counted after decoding`() throws {
        let longest = String(repeating: "%61", count: 1024)
        #expect(try Key(percentEncoded: Array(longest.utf8)).text.utf8.count == 1024)
        #expect(throws: Refusal.self) { try Key(percentEncoded: Array((longest + "a").utf8)) }
    }
}
