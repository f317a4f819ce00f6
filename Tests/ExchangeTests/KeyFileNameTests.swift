import ShaCache
import Testing

@testable import Exchange

struct KeyFileNameTests {
    @Test(arguments: [
        ("pypi:six=1.16.0", "pypi:six=1.16.0"), ("a/b", "a%2Fb"), ("a%2Fb", "a%252Fb"), ("..a", "..a"), ("é ", "é "),
        ("https://example.org/a?b#c", "https:%2F%2Fexample.org%2Fa?b#c"),
    ])
    func `a key's file is called as the key, but for what no file can be called`(_ key: String, _ name: String) throws {
        #expect(KeyFileName.path(of: try Key(key)) == name)
        #expect(try KeyFileName.key(at: name).text.utf8.elementsEqual(key.utf8))
    }

    /// Fails without the directories in KeyFileName.path: a file's name has 255 bytes.
    @Test(arguments: [
        String(repeating: "a", count: 254), String(repeating: "a", count: 255), String(repeating: "/", count: 1024),
        String(repeating: "%", count: 1024), String(repeating: "é", count: 512), String(repeating: "a%/é", count: 170),
    ])
    func `a long key goes on in directories`(_ text: String) throws {
        let path = KeyFileName.path(of: try Key(text))
        for name in path.split(separator: "/") { #expect(name.utf8.count <= 255) }
        #expect(try KeyFileName.key(at: path).text == text)
    }

    /// Fails without the bare % of a directory's name: one key's file would be another one's directory.
    @Test func `no key's file has the name of another one's directory`() throws {
        let long = KeyFileName.path(of: try Key(String(repeating: "a", count: 300)))
        let directory = String(long.prefix { $0 != "/" })
        #expect(throws: Refusal.self) { try KeyFileName.key(at: directory) }
    }

    @Test(arguments: ["a%2", "a%zz", "", ".", "..", "a%00b", "%FF", "directory/a", "a%\u{10FF80}"])
    func `what no export wrote is no key`(_ name: String) {
        #expect(throws: Refusal.self) { try KeyFileName.key(at: name) }
    }

    /// slapproxy's files are named as the key is.
    @Test func `an escape in slapproxy's name of a key is the key's own`() throws {
        #expect(try KeyFileName.literalKey("a%2Fb").text == "a%2Fb")
        #expect(throws: Refusal.self) { try KeyFileName.literalKey("a\u{10FF80}") }
    }
}
