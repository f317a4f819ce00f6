import Fixtures
import Foundation
import ShaCache
import Testing

struct JSONTests {
    /// The deployed clients read entries with Python's `json`: what it takes, we take; what it refuses, we refuse.
    @Test func `the reader agrees with Python's on generated documents`() throws {
        let lines = try output(of: "python3", "\(repository)/Tests/ShaCacheTests/documents.py")
        var checked = 0
        for line in String(decoding: lines, as: UTF8.self).split(separator: "\n") {
            let fields = line.split(separator: " ", omittingEmptySubsequences: false)
            let document = [UInt8](try #require(Data(base64Encoded: String(fields[0]))))
            let isValid = (try? JSON(document)) != nil
            #expect(isValid == (fields[1] == "valid"), "\(String(decoding: document, as: UTF8.self))")
            checked += 1
        }
        #expect(checked > 5000)
    }

    @Test func `deep nesting ends in a refusal, not in a crash`() {
        for opening in ["[", "{\"a\":"] {
            #expect(throws: JSON.Malformed.self) { try JSON(Array(String(repeating: opening, count: 100_000).utf8)) }
        }
    }

    @Test(arguments: [
        (#""\ud83d\ude00""#, "😀"), (#""\u00e9\n\/""#, "é\n/"), (#""\\u0041""#, "\\u0041"), (#""""#, ""),
    ])
    func `escapes are read`(_ document: String, _ text: String) throws {
        #expect(try JSON(Array(document.utf8)).string == text)
    }

    @Test(arguments: [#""\ud83d""#, #""\ude00\ud83d""#, #""\ud83dx""#, #""\ud83d\ud83d""#])
    func `a lone surrogate is read, and is no text`(_ document: String) throws {
        let value = try JSON(Array(document.utf8))
        guard case .string(let text) = value else { return #expect(Bool(false), "not a string") }
        #expect(text.hasLoneSurrogate)
        #expect(value.string == nil)
    }

    @Test func `a written string is read back the same`() throws {
        let text = "\u{0}\u{1F}\"\\/\n é😀\u{7F}"
        var bytes: [UInt8] = []
        bytes.appendJSONString(text)
        #expect(try JSON(bytes).string.map { Array($0.utf8) } == Array(text.utf8))
    }
}
