import ShaCache
import Testing

struct ExistenceListTests {
    @Test func `a question reads as it was written`() throws {
        let names = ["one", "%C3%A9", "a/b"]
        let read = try ExistenceList.names(in: ExistenceList.question(names))
        #expect(read.map { String(decoding: $0, as: UTF8.self) } == names)
    }

    @Test(arguments: ["a\nb\n", "a\nb", "a\r\nb\r\n", "a\r\nb"])
    func `ends of lines may be those of any system, and the last may lack`(_ text: String) throws {
        let names = try ExistenceList.names(in: Array(text.utf8))
        #expect(names.map { String(decoding: $0, as: UTF8.self) } == ["a", "b"])
    }

    @Test func `an empty line is a name like any other, and nothing at all is no list`() throws {
        #expect(try ExistenceList.names(in: Array("a\n\nb\n".utf8)).count == 3)
        #expect(throws: Refusal.malformedRequest("the list is empty")) { try ExistenceList.names(in: []) }
    }

    @Test func `a list may have so many lines and bytes, and no more`() throws {
        func lines(_ count: Int) -> [UInt8] { Array(repeatElement("x\n", count: count).joined().utf8) }
        #expect(try ExistenceList.names(in: lines(10_000)).count == 10_000)
        let tooLong = Refusal.listTooLong(limit: 10_000)
        #expect(throws: tooLong) { try ExistenceList.names(in: lines(10_001)) }
        #expect(tooLong.terms.status == .contentTooLarge)
        let bytes = [UInt8](repeating: UInt8(ascii: "x"), count: ExistenceList.byteLimit)
        #expect(try ExistenceList.names(in: bytes).count == 1)
        #expect(throws: tooLong) { try ExistenceList.names(in: bytes + bytes.prefix(1)) }
    }

    @Test func `an answer reads as it was written`() {
        let answers: [ExistenceList.Answer] = [
            .absent, .key, .blob(size: 0, modified: 0), .blob(size: .max, modified: 1_700_000_000),
        ]
        let body = ExistenceList.body(answers)
        #expect(String(decoding: body, as: UTF8.self).hasPrefix("no\nyes\nyes 0 0\nyes 9"))
        #expect(ExistenceList.answers(in: body, count: 4) == answers)
    }

    /// What servers say that know no lists: a page, a blob's name, an error, an answer to something else.
    @Test(arguments: [
        "", "\n", "yes\nno", "yes\n", "yes\nno\nno\n", "<html>\n</html>\n", "yes\nmaybe\n", "yes\n\n", "yes 1\nno\n",
        "yes -1 0\nno\n", "yes 1 x\nno\n", "yes  1 2\nno\n", "yes\r\nno\r\n", "YES\nno\n",
    ])
    func `what is no answer to so many lines is none`(_ text: String) {
        #expect(ExistenceList.answers(in: Array(text.utf8), count: 2) == nil)
    }
}

struct ExistenceRouteTests {
    private static let hash = String(repeating: "0", count: 128)

    @Test(arguments: [
        ("/-/have", Mount.prefixes, "/"), ("/-/have?x", .prefixes, "/"), ("/shacache/-/have", .prefixes, "/shacache/"),
        ("/shacache/cache/-/have", .prefixes, "/shacache/cache/"), ("/shadir/-/have", .prefixes, "/shadir/"),
        ("/shacache/dir/-/have", .prefixes, "/shacache/dir/"), ("/-/have", .shacache, "/"),
        ("/shadir/-/have", .shacache, "/shadir/"), ("/-/have", .shadir, "/"),
    ])
    func `lists have a place beside each mount, and say what is below it`(
        _ target: String, _ mount: Mount, _ prefix: String
    ) throws {
        guard case .existence(let found) = try Route.findExistence(Array(target.utf8), below: mount) else {
            Issue.record("\(target) is no place for lists")
            return
        }
        #expect(found == Array(prefix.utf8))
    }

    @Test(arguments: [
        ("/-/have/", Mount.prefixes), ("/x/-/have", .prefixes), ("/shadir/-/have", .shadir), ("/-/Have", .prefixes),
    ])
    func `they have no other`(_ target: String, _ mount: Mount) throws {
        if let route = try Route.findExistence(Array(target.utf8), below: mount) { Issue.record("\(route)") }
    }

    @Test(arguments: [("/shadir/-/have", Mount.prefixes), ("/shacache/dir/-/have", .prefixes), ("/-/have", .shadir)])
    func `below the directory the name is a key for all other methods`(_ target: String, _ mount: Mount) throws {
        guard case .entries(let key) = try Route.find(Array(target.utf8), below: mount) else {
            Issue.record("\(target) is no key")
            return
        }
        #expect(key.text == "-/have")
    }
}
