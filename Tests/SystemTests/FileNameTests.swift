import System
import Testing

@Suite struct FileNameTests {
    /// What is UTF-8, cut UTF-8, surrogates, overlong and too large forms, and the scalars that stand for bytes.
    private static let names: [[UInt8]] = [
        [], Array("plain".utf8), Array("caf\u{E9}".utf8), [0x63, 0xE9], [0xFF, 0xFE], [0xE2, 0x82], [0xE2, 0x82, 0x41],
        [0xED, 0xA0, 0x80], [0xC0, 0x80], [0xF5, 0x80, 0x80, 0x80], [0xF4, 0x8F, 0xBF, 0xA9], [0xF4, 0x8F, 0xBE, 0x80],
        [0xF4, 0x8F, 0xBE], [0xF4, 0x8F, 0xBF, 0xBF, 0x80], [0xF0, 0x9F, 0x98, 0x80, 0x80], [0x65, 0xCC, 0x81],
    ]

    @Test(arguments: names) func `a name comes back byte by byte`(_ bytes: [UInt8]) {
        #expect(String(fileName: bytes).fileNameBytes == bytes)
    }

    @Test func `any pair of bytes comes back`() {
        for first in UInt8.min ... .max {
            for second in UInt8.min ... .max {
                let bytes = [UInt8(ascii: "a"), first, second]
                #expect(String(fileName: bytes).fileNameBytes == bytes)
            }
        }
    }

    @Test func `a name that is text is that text`() {
        #expect(String(fileName: Array("caf\u{E9}".utf8)) == "caf\u{E9}")
        #expect(!String(fileName: Array("\u{10FF7F}\u{1F600}".utf8)).holdsRawBytes)
        #expect(String(fileName: [0x63, 0xE9]).holdsRawBytes)
    }

    @Test func `people see which byte it is`() {
        let name = String(fileName: [0x63, 0xE9, 0x2E, 0xFF])
        #expect(name.shownFileName == "c\\xE9.\\xFF")
        #expect(name.percentFileName == "c%E9.%FF")
        #expect("café".shownFileName == "café")
    }

    // Of characters, "/" and the accent behind it would be one, and no slash.
    @Test func `a name may begin with an accent`() {
        #expect("dir/\u{301}a".lastPathComponent == "\u{301}a")
        #expect("dir/\u{301}a".directoryPrefix == "dir/")
        #expect("a".directoryPrefix == "" && "a".lastPathComponent == "a")
    }
}
