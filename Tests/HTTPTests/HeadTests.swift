import Testing

@testable import HTTP

struct HeadTests {
    private func head(_ status: Int = 200, _ version: Substring = "HTTP/1.1", _ headers: [String: String] = [:]) -> Head
    {
        Head(status: status, version: version, headers: headers)
    }

    @Test(arguments: [
        ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777), ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        // The older forms, RFC 9110 5.6.7.
        ("Sunday, 06-Nov-94 08:49:37 GMT", 784_111_777), ("Sun Nov  6 08:49:37 1994", 784_111_777), ("", nil),
        ("tomorrow", nil),
    ])
    func `a date is what HTTP takes for one`(_ text: String, _ seconds: Int?) {
        #expect(head(200, "HTTP/1.1", ["date": text]).date("date") == seconds)
    }

    @Test(arguments: [("0", 0), ("10", 10), ("-1", nil), ("1 0", nil), ("x", nil), ("99999999999999999999", nil)])
    func `a length is a number of bytes`(_ text: String, _ length: Int?) {
        #expect(head(200, "HTTP/1.1", ["content-length": text]).contentLength == length)
    }

    @Test func `only HTTP/1 may end a body with its connection`() {
        #expect(head().endsWithConnection && head(200, "HTTP/1.0").endsWithConnection)
        #expect(!head(200, "HTTP/2").endsWithConnection)
        for name in ["content-length", "transfer-encoding"] {
            #expect(!head(200, "HTTP/1.1", [name: "1"]).endsWithConnection)
        }
    }

    @Test func `success is 200 to 299`() {
        #expect((100..<600).filter { head($0).isSuccess } == Array(200..<300))
    }

    @Test func `an answer's words are one line, short and without passwords`() {
        func words(_ text: String) -> String {
            HTTPResponse(head: head(500), body: Array(text.utf8), redirection: nil).words
        }
        #expect(words(" not\r\n\there:\n http://alice:secret@example.org/a ") == "not here: http://example.org/a")
        #expect(words(String(repeating: "x", count: 501)).count == 500 && words("") == "")
    }

    @Test func `a body's bytes are read from any offset`() throws {
        let body = RequestBody(Array("abcdef".utf8))
        var buffer = [UInt8](repeating: 0, count: 4)
        let pieces = try [0, 4, 6, 2].map { offset in
            let count = try buffer.withUnsafeMutableBytes { try body.read(offset, $0) }
            return String(decoding: buffer[..<count], as: UTF8.self)
        }
        #expect(body.count == 6 && pieces == ["abcd", "ef", "", "cdef"])
    }
}
