import Fixtures
import Foundation
import Testing

@testable import ShaCache

@Suite struct PythonTests {
    private struct Judgement {
        let one: JSON
        let other: JSON
        let written: [String]
        let isEqual: Bool
        /// nil where Python raises.
        let isLess: Bool?

        init(_ line: Substring) throws {
            guard case .array(let parts) = try JSON(Array(line.utf8)), case .array(let texts) = parts[0],
                case .array(let written) = parts[1], case .bool(let isEqual) = parts[2]
            else { throw CocoaError(.fileReadCorruptFile) }
            one = try JSON(Array(texts[0].string!.utf8))
            other = try JSON(Array(texts[1].string!.utf8))
            self.written = written.map { $0.string! }
            self.isEqual = isEqual
            if case .bool(let value) = parts[3] { isLess = value } else { isLess = nil }
        }
    }

    private static func judgements() throws -> [Judgement] {
        let printed = try output(of: "python3", "\(repository)/Tests/ShaCacheTests/comparisons.py")
        return try String(decoding: printed, as: UTF8.self).split(separator: "\n").map(Judgement.init)
    }

    @Test func `values are written as Python's json writes them`() throws {
        for judgement in try Self.judgements() {
            #expect(judgement.one.dumped() == judgement.written[0])
            #expect(judgement.other.dumped() == judgement.written[1])
            #expect(judgement.one.dumped(indent: 2, sortingNames: true) == judgement.written[2])
        }
    }

    @Test func `values are equal, less or without an order where Python says so`() throws {
        for judgement in try Self.judgements() {
            let names = "\(judgement.written)"
            #expect(judgement.one.equals(judgement.other) == judgement.isEqual, "\(names)")
            let order = Result { try judgement.one.order(judgement.other) }
            #expect((try? order.get().map { $0 == .less } ?? false) == judgement.isLess, "\(names)")
        }
    }

    @Test func `base64 reads back, with padding`() {
        for count in 0..<70 {
            let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 * 37 + count) }
            #expect(base64(bytes) == Data(bytes).base64EncodedString())
        }
    }
}

@Suite struct KeyFormTests {
    @Test func `keys are made as the deployed clients make them`() throws {
        #expect(try Key.source(url: "http://a/b").text == "file-urlmd5:6d8f296997bfd407d3c82bd950585200")
        #expect(try Key.olderSource(url: "http://a/b").text == "slapos-buildout-6d8f296997bfd407d3c82bd950585200")
        #expect(try Key.olderSource(url: "http://pypi/b").text == "pypi-buildout-b20c29368133e85fd1f7cbaaf5d1af51")
        #expect(try Key.softwareRelease(url: "http://a/b").text == "6d8f296997bfd407d3c82bd950585200")
        #expect(try Key.python(name: "six", version: "1.16.0").text == "pypi:six=1.16.0")
    }

    @Test(arguments: ["a:b=c+<>,&;/..", "ü", "a b", "50%", "a?b#c", "~"])
    func `a key reads back from the path that it stands in`(text: String) throws {
        let key = try Key(text)
        #expect(try Key(percentEncoded: Array(key.percentEncoded.utf8)).text == text)
        #expect(key.percentEncoded.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "?") })
    }
}
