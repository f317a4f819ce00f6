import ShaCache
import Testing

struct AccountRequestTests {
    private func body(name: String, contact: String) -> [UInt8] {
        Array(JSON.object(["name": JSON(name), "contact": JSON(contact), "request": JSON("r")]).dumped().utf8)
    }

    @Test(arguments: [("a", "c"), ("9._-", "é \u{1F600}"), (String(repeating: "a", count: 63), " c")])
    func `what can be an account's name and a line is taken`(_ name: String, _ contact: String) throws {
        let request = try AccountRequest(body: body(name: name, contact: contact))
        #expect(request.name == name && request.contact == contact && request.signingRequest == "r")
    }

    @Test(arguments: [
        ("", "c"), ("A", "c"), ("-a", "c"), ("a\n", "c"), ("ä", "c"), (String(repeating: "a", count: 64), "c"),
        ("a", ""), ("a", " "), ("a", "b\nc"), ("a", "\u{1B}[2J"), ("a", String(repeating: "c", count: 501)),
    ])
    func `other names and contacts are refused`(_ name: String, _ contact: String) {
        #expect(throws: Refusal.self) { try AccountRequest(body: body(name: name, contact: contact)) }
    }

    private func granted(_ name: String = "a", _ url: JSON) -> GrantedAccount? {
        let json = JSON.object([
            "account": JSON(name), "certificate": JSON("c"), "download-url": url, "upload-url": .null,
        ])
        return GrantedAccount(body: Array(json.dumped().utf8))
    }

    @Test func `an answer is read as it was written`() throws {
        let written = GrantedAccount(name: "a", certificate: "c", downloadURL: "http://h:8080/a%20b", uploadURL: nil)
        let read = try #require(GrantedAccount(body: Array(written.json.dumped().utf8)))
        #expect(read.name == "a" && read.certificate == "c" && read.uploadURL == nil)
        #expect(read.downloadURL == "http://h:8080/a%20b")
    }

    /// Fails when what a server says could add lines to a configuration, or steer a terminal.
    @Test(arguments: [
        "http://h\n[slapos]", "http://h/\u{1B}", "http://h b", "file:///etc", "ftp://h", "http://h/", "", "http://h?a",
    ])
    func `an answer whose URL is no plain one is none`(_ url: String) { #expect(granted("a", JSON(url)) == nil) }

    @Test func `an answer of another form is none`() {
        #expect(granted("a\u{1B}[2J", .null) == nil && granted("a", .number("1")) == nil)
        #expect(GrantedAccount(body: Array("[]".utf8)) == nil && GrantedAccount(body: []) == nil)
        #expect(granted("a", .null) != nil)
    }
}
