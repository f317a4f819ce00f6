import Testing

@testable import HTTP

struct PartTests {
    private func head(_ status: Int, _ range: String? = nil, length: String? = nil) -> Head {
        var headers: [String: String] = [:]
        headers["content-range"] = range
        headers["content-length"] = length
        return Head(status: status, headers: headers)
    }

    @Test func `200 is the whole file, whatever was asked for`() throws {
        for start in [0, 5] {
            #expect(try head(200, length: "10").part(from: start) == Part(start: 0, end: 10, size: 10))
            #expect(try head(200).part(from: start) == Part(start: 0, end: nil, size: nil))
            #expect(try head(200, length: "-1").part(from: start) == Part(start: 0, end: nil, size: nil))
        }
    }

    @Test func `206 is the part that was asked for`() throws {
        #expect(try head(206, "bytes 5-9/10", length: "5").part(from: 5) == Part(start: 5, end: 10, size: 10))
        #expect(try head(206, "BYTES 5-7/10").part(from: 5) == Part(start: 5, end: 8, size: 10))
        #expect(try head(206, "bytes 5-9/*").part(from: 5) == Part(start: 5, end: 10, size: nil))
    }

    @Test(arguments: [
        nil, "bytes 4-9/10", "bytes 6-9/10", "bytes 5-4/10", "bytes 5-9/9", "items 5-9/10", "bytes 5-9", "bytes 5-/10",
        "bytes */10", "5-9/10", "bytes 5-9/10, 5-9/10", "bytes 5-9223372036854775807/*",
        "bytes 5-99999999999999999999/*", "bytes 5-9/99999999999999999999", "bytes -5-9/10", "",
    ])
    func `206 with another part, or none, is refused`(_ range: String?) {
        #expect(throws: NotTheFile.self) { try head(206, range).part(from: 5) }
    }

    @Test func `206 is refused that wasn't asked for, or has another length`() {
        #expect(throws: NotTheFile.self) { try head(206, "bytes 0-9/10").part(from: 0) }
        #expect(throws: NotTheFile.self) { try head(206, "bytes 5-9/10", length: "4").part(from: 5) }
    }

    @Test(arguments: [201, 202, 203, 204, 205, 207, 226, 299])
    func `no other status of success is the file`(_ status: Int) {
        for start in [0, 5] { #expect(throws: NotTheFile.self) { try head(status, length: "10").part(from: start) } }
    }

    @Test func `416 may say how large the file is`() {
        #expect(head(416, "bytes */10").sizeWithoutPart == 10)
        for head in [head(416), head(416, "bytes */*"), head(416, "bytes */-1"), head(200, "bytes */10")] {
            #expect(head.sizeWithoutPart == nil)
        }
    }
}
