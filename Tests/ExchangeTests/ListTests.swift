import Fixtures
import Foundation
import System
import Testing

@testable import Exchange

struct ListTests {
    private func lines(_ text: [UInt8]) throws -> [[UInt8]] {
        let directory = try TemporaryDirectory()
        try Data(text).write(to: URL(filePath: "\(directory.path)/list"))
        let reader = LineReader(try Descriptor("\(directory.path)/list"))
        var lines: [[UInt8]] = []
        while let line = try reader.next() { lines.append(line) }
        return lines
    }

    @Test func `lines are read whole, whether the last one ends or not`() throws {
        let long = [UInt8](repeating: 97, count: 50_000)
        #expect(try lines([]) == [])
        #expect(try lines(Array("a\n\nb".utf8)) == [[97], [], [98]])
        #expect(try lines(long + [10] + long + [10] + long) == [long, long, long])
    }

    /// Fails without LineReader.limit: all of such a file would be kept in memory.
    @Test func `what has no lines is no list`() throws {
        #expect(throws: UnfitItem.self) { try lines([UInt8](repeating: 97, count: 1 << 20)) }
    }

    @Test(arguments: [
        ("https://example.org/a-1.0.tar.gz", "a-1.0.tar.gz"), ("https://example.org/a.tar.gz?b/c#d/e", "a.tar.gz"),
        ("https://example.org/a\tb/c", "b/c"), ("https://u:p@example.org/a", "a"),
    ])
    func `a download's file is the one named, or called as its URL ends`(_ line: String, _ path: String) throws {
        #expect(try ListedDownload(Array(line.utf8)).path == path)
    }

    /// Fails without the guard in ListedDownload.init: another file than one of the tree would become public.
    @Test(arguments: [
        "a", "https://example.org/", "https://e.org/a\t../b", "https://e.org/a\t/etc/passwd", "https://e.org/a\t",
    ])
    func `a line that names no URL, or no file below the directory, is refused`(_ line: String) {
        #expect(throws: UnfitItem.self) { try ListedDownload(Array(line.utf8)) }
    }
}
