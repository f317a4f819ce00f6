import Testing

@testable import HTTP

/// What libcurl makes of answers, to the byte.
@Suite(.timeLimit(.minutes(15))) struct SessionTests {
    private let session = HTTPSession(agent: "tests", usesProxies: false)

    /// Sends one request to a server that answers so.
    private func response(to answer: String, redirectLimit: Int = 0) throws -> HTTPResponse {
        let server = CannedServer(answer)
        defer { server.end() }
        var request = HTTPRequest(.get, server.url())
        request.redirectLimit = redirectLimit
        return try session.send(request)
    }

    private func failure(_ body: () throws -> Void) -> HTTPFailure.Cause? {
        do {
            try body()
            return nil
        } catch {
            return (error as? HTTPFailure)?.kind
        }
    }

    @Test func `headers are known by their name in any case, without the space around them`() throws {
        let head = try response(to: "HTTP/1.1 200 OK\nContent-LENGTH:  2 \t\nX-A:b: c\nx-empty:\n\nok").head
        #expect(head["content-length"] == "2" && head["x-a"] == "b: c" && head["x-empty"] == "" && head["x-b"] == nil)
        #expect(head.contentLength == 2 && head.isSuccess && !head.endsWithConnection)
    }

    @Test func `of two headers of a name the later one counts`() throws {
        #expect(try response(to: "HTTP/1.1 200 OK\nA: 1\nContent-Length: 0\na: 2\n\n").head["a"] == "2")
    }

    @Test func `an interim answer is none`() throws {
        let response = try response(to: "HTTP/1.1 103 Early Hints\nEtag: a\n\nHTTP/1.1 404 No\nContent-Length: 2\n\nno")
        #expect(response.status == 404 && response.head["etag"] == nil && response.words == "no")
    }

    @Test(arguments: [("HTTP/1.1 204", 204), ("HTTP/1.0 200 OK", 200), ("HTTP/1.1 299 Whatever else", 299)])
    func `a status line needs no words`(_ line: String, _ status: Int) throws {
        let head = try response(to: "\(line)\n\n").head
        #expect(head.status == status && head.endsWithConnection)
    }

    @Test func `a redirect is an answer, and followed where it is allowed`() throws {
        let target = CannedServer("HTTP/1.1 200 OK\nContent-Length: 2\n\nok")
        defer { target.end() }
        let redirect = "HTTP/1.1 302 Found\nLocation: \(target.url("/b"))\nEtag: a\nContent-Length: 0\n\n"
        #expect(try response(to: redirect).status == 302)
        let response = try response(to: redirect, redirectLimit: 1)
        #expect(
            response.status == 200 && response.head["etag"] == nil && target.requests[0].hasPrefix("GET /b HTTP/1.1"))
    }

    @Test func `a redirect to another scheme is refused, and what it leads to is shown without secrets`() throws {
        let redirect =
            "HTTP/1.1 302 Found\nLocation: ftp://alice:secret@example.org/a?token=secret\nContent-Length: 0\n\n"
        do {
            _ = try response(to: redirect, redirectLimit: 1)
            Issue.record("was followed")
        } catch let failure as HTTPFailure {
            #expect(failure.kind == .redirect && failure.description.contains("redirects to ftp://example.org/a, "))
        }
    }

    @Test func `an answer that ends too soon was interrupted`() {
        #expect(failure { _ = try response(to: "HTTP/1.1 200 OK\nContent-Length: 3\n\nok") } == .interrupted)
        #expect(failure { _ = try response(to: "") } == .interrupted)
        #expect(
            failure { _ = try response(to: "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n2\nok\n") } == .interrupted)
    }

    @Test(arguments: [
        "HTTP/1.1 200 OK\nContent-Length: -5\n\n", "stray bytes\n\n",
        "HTTP/1.1 200 OK\nA: \(String(repeating: "a", count: 150_000))\n\n",
    ])
    func `what can't be read as an answer is malformed`(_ answer: String) {
        #expect(failure { _ = try response(to: answer) } == .malformed)
    }

    @Test func `of a longer body than may be, the beginning is taken`() throws {
        let server = CannedServer(
            "HTTP/1.1 500 No\nContent-Length: 200000\n\n\(String(repeating: "a", count: 200_000))")
        defer { server.end() }
        var request = HTTPRequest(.get, server.url())
        request.bodyLimit = 1000
        let response = try session.send(request)
        #expect(response.status == 500 && response.body.count == 1000)
    }

    @Test func `what can't be sent is told apart by what would help`() {
        let gone = CannedServer()
        gone.end()
        #expect(failure { _ = try session.send(HTTPRequest(.get, gone.url())) } == .unreachable)
        for url in ["ftp://127.0.0.1/", "http://", "http://a b/"] {
            #expect(failure { _ = try session.send(HTTPRequest(.get, url)) } == .misuse, "\(url)")
        }
    }

    @Test func `a receiver gets what succeeded, and no error's text`() throws {
        let server = CannedServer(
            "HTTP/1.1 500 No\nContent-Length: 2\n\nno", "HTTP/1.1 200 OK\nContent-Length: 2\n\nok")
        defer { server.end() }
        var received: [UInt8] = []
        let failed = try session.send(HTTPRequest(.get, server.url())) { _, bytes in received += bytes }
        #expect(failed.words == "no" && received.isEmpty)
        let response = try session.send(HTTPRequest(.get, server.url())) { _, bytes in received += bytes }
        #expect(response.body.isEmpty && received == Array("ok".utf8))
    }

    @Test func `what a receiver throws comes out`() {
        struct Full: Error {}
        let server = CannedServer("HTTP/1.1 200 OK\nContent-Length: 2\n\nok")
        defer { server.end() }
        #expect(throws: Full.self) { try session.send(HTTPRequest(.get, server.url())) { _, _ in throw Full() } }
    }
}

@Suite(.timeLimit(.minutes(15))) struct FileTests {
    private let session = HTTPSession(agent: "tests", usesProxies: false)

    private struct Got: Equatable {
        var text = ""
        var part: Part?
        var status = 0
    }

    /// Gets a file of which `start` bytes are there.
    private func file(
        _ answer: String, from start: Int = 0, of size: Int? = nil, validator: String? = nil
    ) throws -> (got: Got, request: String) {
        let server = CannedServer(answer)
        defer { server.end() }
        var received: [UInt8] = []
        let request = HTTPRequest(.get, server.url())
        let (response, part) = try session.getFile(request, from: start, of: size, ifUnchanged: validator) {
            received += $2
        }
        let text = String(decoding: received, as: UTF8.self)
        return (Got(text: text, part: part, status: response.status), server.requests[0].lowercased())
    }

    private func kind(_ answer: String, from start: Int = 0, of size: Int? = nil) -> HTTPFailure.Cause? {
        do {
            _ = try file(answer, from: start, of: size)
            return nil
        } catch {
            return (error as? HTTPFailure)?.kind
        }
    }

    private func partial(_ range: String, _ body: String) -> String {
        "HTTP/1.1 206 Partial Content\nContent-Range: bytes \(range)\nContent-Length: \(body.utf8.count)\n\n\(body)"
    }

    @Test func `a whole file is asked for without a range, and as it is`() throws {
        let (got, request) = try file("HTTP/1.1 200 OK\nContent-Length: 4\n\nabcd", validator: "\"v\"")
        #expect(got == Got(text: "abcd", part: Part(start: 0, end: 4, size: 4), status: 200))
        #expect(request.contains("\r\naccept-encoding: identity\r\n"))
        #expect(!request.contains("\r\nrange:") && !request.contains("\r\nif-range:"))
    }

    @Test func `the rest is asked for of the same file`() throws {
        let (got, request) = try file(partial("2-3/4", "cd"), from: 2, validator: "\"v\"")
        #expect(got == Got(text: "cd", part: Part(start: 2, end: 4, size: 4), status: 206))
        #expect(request.contains("\r\nrange: bytes=2-\r\n") && request.contains("\r\nif-range: \"v\"\r\n"))
    }

    @Test func `a server may send all instead of the rest`() throws {
        let (got, _) = try file("HTTP/1.1 200 OK\nContent-Length: 4\n\nabcd", from: 2)
        #expect(got == Got(text: "abcd", part: Part(start: 0, end: 4, size: 4), status: 200))
    }

    @Test func `an empty file is one, and an error's text is none`() throws {
        let (empty, _) = try file("HTTP/1.1 200 OK\nContent-Length: 0\n\n")
        #expect(empty == Got(part: Part(start: 0, end: 0, size: 0), status: 200))
        #expect(try file("HTTP/1.1 404 No\nContent-Length: 2\n\nno").got == Got(status: 404))
    }

    @Test func `another part, or none, is not the file`() {
        #expect(kind(partial("1-2/4", "bc"), from: 2) == .notTheFile)
        #expect(kind(partial("0-3/4", "abcd")) == .notTheFile)
        #expect(kind("HTTP/1.1 203 Other\nContent-Length: 2\n\nok") == .notTheFile)
        #expect(kind("HTTP/1.1 204 Nothing\n\n") == .notTheFile)
        // More than it had named.
        #expect(kind("HTTP/1.1 206 Partial Content\nContent-Range: bytes 2-2/4\n\ncd", from: 2) == .notTheFile)
    }

    @Test func `what ends before the part does, or the part before the file, was interrupted`() {
        #expect(kind("HTTP/1.1 206 Partial Content\nContent-Range: bytes 2-3/4\n\nc", from: 2) == .interrupted)
        #expect(kind(partial("2-3/5", "cd"), from: 2) == .interrupted)
        #expect(kind(partial("2-3/*", "cd"), from: 2, of: 5) == .interrupted)
        #expect(kind(partial("2-3/*", "cd"), from: 2, of: 4) == nil)
    }
}
