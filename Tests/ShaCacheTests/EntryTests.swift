import Foundation
import ShaCache
import Testing

private let sha512 = String(repeating: "a", count: 128)

/// The body of a PUT, as Python's `json.dumps([metadata, signature])` makes it.
private func body(_ metadata: String, _ signature: String = "") throws -> [UInt8] {
    [UInt8](try JSONEncoder().encode([metadata, signature]))
}

struct EntryTests {
    @Test func `metadata is kept byte for byte`() throws {
        let metadata =
            "{\"sha512\":\"\(sha512)\" , \"x\": NaN, \"x\": -Infinity, \"n\": \"\\u0000\", \"é\": \"e\u{301}\"}  "
        let entry = try Entry(body: body(metadata))
        #expect(Array(entry.metadata.utf8) == Array(metadata.utf8))
        #expect(entry.sha512.description == sha512)
    }

    @Test func `of repeated names the last counts, as in Python`() throws {
        let entry = try Entry(body: body("{\"sha512\": 1, \"sha512\": \"\(sha512.uppercased())\"}"))
        #expect(entry.sha512.description == sha512)
    }

    @Test func `facts for reports are read out of the metadata`() throws {
        let facts = try Entry(
            body: body(
                """
                {"sha512": "\(sha512)", "software_url": "https://x/software.cfg", "multiarch": 3,
                "os": ["debian", "12", ""]}
                """)
        ).facts
        #expect(facts.softwareURL == "https://x/software.cfg")
        #expect(facts.os == ["debian", "12", ""])
        #expect(facts.multiarch == nil)
    }

    /// Fails without the strict reading in Entry.init: each of these, once stored, makes every signed client lose the key.
    @Test(arguments: [
        #"{"sha512": "x"}"#, "[]", #"["a"]"#, #"["a", "b", "c"]"#, #"["a", 1]"#, #"[null, ""]"#, "", "[\"{}\", \"\"",
        #"["{}", ""]"#, #"["[]", ""]"#, #"["{\"sha512\": 1}", ""]"#, #"["{\"sha512\": \"abc\"}", ""]"#,
        #"["{\"sha512\": \"S\"", ""]"#, #"["{\"sha512\": \"S\",}", ""]"#, #"["{\"sha512\": \"S\"}", "a"]"#,
        #"["{\"sha512\": \"S\"}", "ab==cd=="]"#, #"["{\"sha512\": \"S\"}", "YQ="]"#, #"["{\"sha512\": \"S\"}", "YQ"]"#,
        #"["{\"sha512\": \"S\"}", "Y-Q="]"#, #"["{\"sha512\": \"S\"}", "\n"]"#, #"["{\"sha512\": \"S\"}", "===="]"#,
        #"["{\"sha512\": \"S\", \"x\": \"\ud800\"}", ""]"#, #"["{\"sha512\": \"S\"}\u0000", ""]"#,
        #"["{\"sha512\": \"S\", \"x\": \"\u0000\"}", ""]"#, #"["{\"sha512\": \"S\"}", "\ud800"]"#,
        "\u{FEFF}[\"{\\\"sha512\\\": \\\"S\\\"}\", \"\"]",
    ])
    func `an unreadable pair is refused`(_ text: String) {
        #expect(throws: Refusal.self) { try Entry(body: Array(text.replacing("S", with: sha512).utf8)) }
    }

    @Test func `invalid UTF-8 is refused`() {
        var bytes = Array("[\"{\\\"sha512\\\": \\\"\(sha512)\\\", \\\"x\\\": \\\"?\\\"}\", \"\"]".utf8)
        bytes[bytes.firstIndex(of: UInt8(ascii: "?"))!] = 0xFF
        #expect(throws: Refusal.self) { try Entry(body: bytes) }
    }

    @Test func `base64 in lines is taken, as the client 0.10 sent it`() throws {
        let entry = try Entry(body: body("{\"sha512\": \"\(sha512)\"}", "YWJj\nZGVm\n"))
        #expect(entry.signature == "YWJj\nZGVm\n")
    }

    @Test func `an entry weighs at most 1 MiB`() throws {
        let padding = String(repeating: " ", count: Entry.sizeLimit - 200)
        _ = try Entry(body: body("{\"sha512\": \"\(sha512)\"}" + padding))
        #expect(throws: Refusal.entryTooLarge(limit: 1 << 20)) {
            try Entry(body: body("{\"sha512\": \"\(sha512)\"}" + padding + padding))
        }
    }

    @Test func `pairs that differ have different digests`() throws {
        let metadata = "{\"sha512\": \"\(sha512)\"}"
        let entries = try [(metadata, ""), (metadata + " ", ""), (metadata, "YWJj")].map {
            try Entry(body: body($0, $1))
        }
        #expect(Set(entries.map(\.digest)).count == 3)
    }
}
