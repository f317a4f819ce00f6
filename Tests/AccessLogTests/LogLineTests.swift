import ShaCache
import Testing

@testable import AccessLog
@testable import Storage

private let name = String(repeating: "0a", count: 64)

/// A request as nginx logs it with `nginx/log.conf`.
private struct Logged {
    var time = "2026-01-31T12:00:00+00:00"
    var requestID = "00112233445566778899aabbccddeeff"
    var mount = ""
    var method = "GET"
    /// As nginx escapes it.
    var uri = "/shacache/\(name)"
    var status = "200"
    var sent = "10"
    var completion = "OK"

    var text: String {
        """
        {"time": "\(time)", "request_id": "\(requestID)", "client": "192.0.2.1", "host": "localhost", \
        "mount": "\(mount)", "method": "\(method)", "uri": "\(uri)", "range": "", "status": "\(status)", \
        "sent": "\(sent)", "complete": "\(completion)", "seconds": "0.001", "certificate": "NONE", "agent": "x"}
        """
    }

    /// What one such line adds to the sums.
    ///
    /// - Parameter bufferSize: in bytes.
    func sums(bufferSize: Int = 1000) -> DownloadSums {
        var sums = DownloadSums()
        LogLine(Array(text.utf8))?.count(in: &sums, bufferSize: bufferSize)
        return sums
    }
}

extension DownloadSums {
    fileprivate var blobNames: [[UInt8]] { blobs.keys.map(\.name) }
    fileprivate var keyNames: [String] { keys.keys.map { String(decoding: $0.name, as: UTF8.self) } }
    fileprivate var isEmpty: Bool { blobs.isEmpty && keys.isEmpty && days.isEmpty }
}

struct LogLineTests {
    private static let digest = Digest(name)!

    @Test(arguments: [
        ("200", "OK", "10", DownloadSums.Count(whole: 1, bytes: 10)),
        ("200", "OK", "0", DownloadSums.Count(whole: 1)),
        ("200", "", "0", DownloadSums.Count(probes: 1)),
        ("200", "", "1000", DownloadSums.Count(probes: 1)),
        ("200", "", "1001", DownloadSums.Count(partial: 1, bytes: 1001)),
        ("206", "OK", "10", DownloadSums.Count(partial: 1, bytes: 10)),
        ("206", "", "10", DownloadSums.Count(partial: 1, bytes: 10)),
    ])
    func `a blob's download is whole, partial or a probe, by status, completion and bytes`(
        _ status: String, _ completion: String, _ sent: String, _ count: DownloadSums.Count
    ) {
        let sums = Logged(status: status, sent: sent, completion: completion).sums()
        #expect(sums.blobs == [DownloadSums.Subject(day: "2026-01-31", name: Self.digest.bytes): count])
        #expect(Array(sums.days.values) == [count] && sums.keys.isEmpty)
    }

    @Test func `a blob that is not there counts for its day alone`() {
        let sums = Logged(status: "404", sent: "10").sums()
        let day = DownloadSums.Subject(day: "2026-01-31", name: Array("blob".utf8))
        #expect(sums.days == [day: DownloadSums.Count(notFound: 1)] && sums.blobs.isEmpty)
    }

    @Test(arguments: [
        ("200", DownloadSums.Count(whole: 1, bytes: 10)), ("404", DownloadSums.Count(notFound: 1)),
    ])
    func `a key is found or not`(_ status: String, _ count: DownloadSums.Count) {
        let sums = Logged(uri: "/shadir/a", status: status).sums()
        #expect(sums.keys == [DownloadSums.Subject(day: "2026-01-31", name: Array("a".utf8)): count])
        #expect(Array(sums.days.values) == [count] && sums.blobs.isEmpty)
    }

    @Test(arguments: ["206", "400", "403", "416", "429", "499", "500", "503"])
    func `no other answer counts`(_ status: String) {
        #expect(Logged(uri: "/shadir/a", status: status).sums().isEmpty)
        if status != "206" { #expect(Logged(status: status).sums().isEmpty) }
    }

    @Test(arguments: [("HEAD", "200"), ("GET", "304")])
    func `a question whether something is there is a probe, or a lookup`(_ method: String, _ status: String) {
        let blob = Logged(method: method, status: status).sums()
        #expect(blob.blobs.values.map(\.probes) == [1] && blob.blobs.values.allSatisfy { $0.whole + $0.bytes == 0 })
        let key = Logged(method: method, uri: "/shadir/a", status: status).sums()
        #expect(key.keys.values.map(\.whole) == [1] && key.keys.values.allSatisfy { $0.bytes == 0 })
    }

    @Test(arguments: ["403", "404", "499", "503"]) func `no other answer to HEAD counts`(_ status: String) {
        #expect(Logged(method: "HEAD", status: status).sums().isEmpty)
        #expect(Logged(method: "HEAD", uri: "/shadir/a", status: status).sums().isEmpty)
    }

    @Test(arguments: ["POST", "PUT", "DELETE", "OPTIONS", "get", ""])
    func `no other method counts`(_ method: String) {
        #expect(Logged(method: method).sums().isEmpty && Logged(method: method, uri: "/shadir/a").sums().isEmpty)
    }

    @Test(arguments: [
        ("", "/shacache/\(name)"), ("", "/shacache/cache/\(name)"), ("", "/shacache/\(name.uppercased())?x=1"),
        ("", "/shacache/%30\(name.dropFirst())"), ("shacache", "/\(name)"), ("shacache", "/shacache/\(name)"),
    ])
    func `a blob is known by each of its targets`(_ mount: String, _ uri: String) {
        #expect(Logged(mount: mount, uri: uri).sums().blobNames == [Self.digest.bytes])
    }

    @Test(arguments: [
        ("", "/shadir/a", "a"), ("", "/shacache/dir/a/b", "a/b"), ("shacache", "/shadir/a", "a"), ("shadir", "/a", "a"),
        ("shadir", "/shadir/a", "shadir/a"), ("", "/shadir/a//../b?c", "a//../b"), ("", "/shadir/%C3%A9", "é"),
        ("", "/shadir/é", "é"), ("", "/shadir/a%2fb", "a/b"), ("shadir", "/\(name)", name),
        ("", "/shadir/-/have", "-/have"),
        // What nginx escapes, as JSON wants it.
        ("", #"/shadir/a\"b\\c"#, #"a"b\c"#), ("", #"/shadir/a\u007Fb"#, nil), ("", #"/shadir/a\tb"#, nil),
    ])
    func `a key is what the worker takes it for`(_ mount: String, _ uri: String, _ key: String?) {
        #expect(Logged(mount: mount, uri: uri).sums().keyNames == (key.map { [$0] } ?? []))
    }

    @Test(arguments: [
        "/", "/shacache", "/shacache/", "/shacache/0", "/shacache/\(name)0", "/shacache/%\(name)", "/shadir",
        "/shadir/",
        "/shadir/..", "/shadir/%00", "/shadir/%ff", "/shadir/a%2", "/\(name)", "/-/have", "/shacache/-/have", "/-/live",
        "/metrics", "(not UTF-8)", "", "*", "http://localhost/shadir/a", "/shadir/a#b",
    ])
    func `what names neither counts for nothing, and is readable`(_ uri: String) {
        let logged = Logged(uri: uri)
        #expect(LogLine(Array(logged.text.utf8)) != nil && logged.sums().isEmpty)
    }

    @Test(
        arguments: [
            Logged(time: ""), Logged(time: "31/Jan/2026:12:00:00 +0000"), Logged(requestID: ""), Logged(mount: "other"),
            Logged(status: ""), Logged(status: "2xx"), Logged(sent: ""), Logged(sent: "-1"), Logged(sent: "1.5"),
            Logged(sent: "99999999999999999999"),
        ].map(\.text))
    func `a line with a value that nginx doesn't write is none`(_ text: String) {
        #expect(LogLine(Array(text.utf8)) == nil)
    }

    @Test(arguments: ["time", "request_id", "mount", "method", "uri", "status", "sent", "complete"])
    func `a line that lacks one of them is none`(_ field: String) {
        let text = Logged().text
        #expect(LogLine(Array(text.utf8)) != nil)
        #expect(LogLine(Array(text.replacing("\"\(field)\":", with: "\"other\":").utf8)) == nil)
    }

    @Test func `a line that is cut at any byte is none`() {
        let line = Array(Logged(uri: "/shadir/é").text.utf8)
        #expect(LogLine(line) != nil)
        #expect(line.indices.allSatisfy { LogLine(Array(line[..<$0])) == nil })
        #expect(LogLine(line + [0xff]) == nil && LogLine(line + line) == nil)
    }

    @Test func `a line of another format may have nginx's request id`() {
        #expect(LogLine.requestID(of: Array(#"{"request_id": "0a", "more": 1}"#.utf8)) == "0a")
        for text in [#"{"request_id": ""}"#, #"{"request_id": 1}"#, #"{"id": "0a"}"#, #"["0a"]"#, "0a", ""] {
            #expect(LogLine.requestID(of: Array(text.utf8)) == nil)
        }
    }

    @Test(arguments: [
        ("2026-01-31T23:59:59+00:00", "2026-01-31"), ("2026-01-31T23:59:59-00:01", "2026-02-01"),
        ("2026-02-01T00:59:59+01:00", "2026-01-31"), ("2024-02-29T05:29:59+05:30", "2024-02-28"),
        ("2024-02-28T18:30:00-05:30", "2024-02-29"), ("2026-12-31T23:00:00-01:00", "2027-01-01"),
        ("2000-01-01T00:00:00+00:00", "2000-01-01"),
    ])
    func `days are those of UTC, whatever zone nginx logs in`(_ time: String, _ day: String) {
        #expect(utcDay(time) == day)
    }

    @Test(arguments: [
        "1999-12-31T23:59:59+00:00", "9999-01-01T00:00:00+00:00", "2026-01-31T12:00:00", "2026-01-31", "",
        "2026-13-01T00:00:00+00:00", "2026-01-31T12:00:00+00:00 ", "x2026-01-31T12:00:00+00:00",
    ])
    func `what is no time, or of no year that the database takes, has no day`(_ time: String) {
        #expect(utcDay(time) == nil)
    }
}
