import Fixtures
import Foundation
import Testing

@testable import AccessLog

/// What was read of a file: its lines, and where the next reading begins.
private struct Reading: Equatable {
    var lines: [String] = []
    /// In bytes of text.
    var position = 0
    var isAtGzipsEnd = false
}

struct LogFileTests {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    private func write(_ bytes: some Sequence<UInt8>, to name: String = "log") throws -> String {
        let path = "\(directory.path)/\(name)"
        try Data(bytes).write(to: URL(filePath: path))
        return path
    }

    private func read(_ path: String, from position: Int = 0) throws -> Reading {
        let file = try LogFile(opening: path)
        var lines = file.lines(from: position)
        var reading = Reading()
        while let line = try lines.next() { reading.lines.append(String(decoding: line, as: UTF8.self)) }
        reading.position = lines.position
        reading.isAtGzipsEnd = lines.isAtGzipsEnd
        return reading
    }

    /// By gzip(1).
    private func compressed(_ text: String) throws -> Data { try output(of: "gzip", "-cn", input: Data(text.utf8)) }

    @Test func `a line is complete when its newline is there`() throws {
        #expect(try read(write("a\n\nbc\nun".utf8)) == Reading(lines: ["a", "", "bc"], position: 6))
        #expect(try read(write("a\n\nbc\nunfinished\n".utf8), from: 6) == Reading(lines: ["unfinished"], position: 17))
        #expect(try read(write([])) == Reading())
    }

    @Test func `a file that is shorter than where reading begins has nothing`() throws {
        #expect(try read(write("a\n".utf8), from: 6) == Reading(position: 6))
    }

    @Test func `lines that are longer than what is read at once come whole`() throws {
        let lines = [300_000, 5, LogLineReader.lengthLimit].map { String(repeating: "x", count: $0) }
        let text = lines.map { "\($0)\n" }.joined()
        #expect(try read(write(text.utf8)) == Reading(lines: lines, position: text.utf8.count))
    }

    @Test func `a line that nginx can't have written counts as empty, and the next one follows`() throws {
        let long = String(repeating: "x", count: 3 * LogLineReader.lengthLimit)
        #expect(try read(write("a\n\(long)\nb\n".utf8)) == Reading(lines: ["a", "", "b"], position: long.count + 5))
        // Without its end it is no line yet.
        #expect(try read(write("a\n\(long)".utf8)) == Reading(lines: ["a"], position: 2))
    }

    @Test func `gzip has the same lines at the same positions`() throws {
        let text = (0..<50_000).map { "line \($0 % 100)\n" }.joined()
        let path = try write(compressed(text))
        let whole = try read(path)
        #expect(whole.lines.count == 50_000 && whole.position == text.utf8.count && whole.isAtGzipsEnd)
        let start = "line 0\n".utf8.count
        #expect(try read(path, from: start).lines == Array(whole.lines.dropFirst()))
        let last = text.utf8.count - "line 99\n".utf8.count
        #expect(try read(path, from: last) == Reading(lines: ["line 99"], position: whole.position, isAtGzipsEnd: true))
    }

    @Test func `several members are one text, and zeros behind them nothing`() throws {
        let path = try write(compressed("a\nb") + compressed("c\n") + Data(count: 1000))
        #expect(try read(path) == Reading(lines: ["a", "bc"], position: 5, isAtGzipsEnd: true))
    }

    @Test func `gzip that isn't all there yet has what is there, and isn't at its end`() throws {
        let member = try compressed("a\nb\n")
        let reading = try read(write(member.dropLast(1)))
        #expect(reading.lines == ["a", "b"] && !reading.isAtGzipsEnd)
        #expect(try read(write(member.prefix(5))) == Reading())
        #expect(try read(write(member.prefix(1))) == Reading())
    }

    /// Each byte of the trailer: CRC-32 and length.
    @Test(arguments: 1...8) func `gzip that is damaged is an error`(_ byte: Int) throws {
        var member = try compressed("a\nb\n")
        member[member.count - byte] ^= 1
        let path = try write(member)
        #expect(throws: LogError.self) { try read(path) }
    }

    @Test func `a log that isn't there is an error`() {
        #expect(throws: LogError.self) { try read("\(directory.path)/nothing") }
    }

    private func fingerprint(_ bytes: some Sequence<UInt8>) throws -> [UInt8]? {
        try LogFile(opening: write(bytes)).fingerprint()
    }

    private func line(_ id: String) -> String { "{\"request_id\": \"\(id)\"}\n" }

    @Test func `a log is known by its first request, and what stands before it`() throws {
        let one = try #require(try fingerprint(line("1").utf8))
        #expect(try fingerprint((line("1") + line("2")).utf8) == one)
        #expect(try fingerprint(compressed(line("1") + line("2"))) == one)
        #expect(try fingerprint((line("2") + line("1")).utf8) != one)
        #expect(try fingerprint(("other\n" + line("1")).utf8) != one)
    }

    @Test func `a log without a request is known by nothing`() throws {
        #expect(try fingerprint([]) == nil)
        #expect(try fingerprint("other\nlines\n".utf8) == nil)
        #expect(try fingerprint(line("1").utf8.dropLast()) == nil)
        let other = String(repeating: "x", count: 1023) + "\n"
        let far = String(repeating: other, count: LogLineReader.lengthLimit / 1024 + 1)
        #expect(try fingerprint((far + line("1")).utf8) == nil)
    }
}

struct RotationTests {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    private func files(of log: String, among names: [String]) throws -> [String] {
        for name in names { try Data().write(to: URL(filePath: "\(directory.path)/\(name)")) }
        return try Rotation.files(of: "\(directory.path)/\(log)").map { URL(filePath: $0).lastPathComponent }
    }

    @Test func `numbers and dates are of the log, the log itself first`() throws {
        #expect(
            try files(of: "access.log", among: ["access.log.10.gz", "access.log.2.gz", "access.log", "access.log.1"])
                == ["access.log", "access.log.1", "access.log.2.gz", "access.log.10.gz"])
        #expect(
            Set(try files(of: "b.log", among: ["b.log-20260131", "b.log-20260130.gz", "b.log-20260130-1769731200.gz"]))
                == ["b.log-20260131", "b.log-20260130.gz", "b.log-20260130-1769731200.gz"])
    }

    @Test func `what is called something else is another file`() throws {
        let others = [
            "access.log.gz", "access.log.1.gz.tmp", "access.log.bak", "access.logs", "a.access.log", "access",
        ]
        #expect(try files(of: "access.log", among: others + ["access.log"]) == ["access.log"])
    }

    @Test func `no file at all is an error`() {
        #expect(throws: LogError.self) { try files(of: "access.log", among: ["error.log"]) }
        #expect(throws: LogError.self) { try Rotation.files(of: "\(directory.path)/nothing/access.log") }
    }
}
