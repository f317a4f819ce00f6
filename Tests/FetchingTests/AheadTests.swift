import ShaCache
import Testing

@testable import Fetching

struct AheadTests {
    private let digest = Digest(bytes: [UInt8](repeating: 7, count: 64))

    @Test func `an answer arrives as it was sent, whatever a reason says`() {
        var answer = AheadAnswer(.failed, "a\r\noutcome fetched\nb")
        (answer.bytes, answer.lacking, answer.away) = (5, [digest, digest], ["far", "other"])
        let read = AheadAnswer(text: answer.text)
        answer.reason = "a  outcome fetched b"
        #expect(read == answer)
        #expect(AheadAnswer(text: AheadAnswer(.here).text) == AheadAnswer(.here))
        for text in ["", "outcome \n", "outcome new\n", "outcome here\nmore 1\n", "outcome listed\nlacking 00\n"] {
            #expect(AheadAnswer(text: text) == nil)
        }
    }
}

struct FeedLineTests {
    private func line(_ text: String, after number: Int = 5) -> FeedLine { FeedLine(Array(text.utf8), after: number) }

    @Test func `a line says what is to be looked at`() throws {
        let entry = line(#"{"number": 7, "event": "entry hidden", "key": "k", "at": "2026-11-22T10:30:00Z"}"#)
        guard case .key(let key) = entry.event else { throw Unexpected() }
        #expect(key.text == "k" && entry.number == 7 && entry.previous == 5 && entry.time == "2026-11-22T10:30:00Z")
        let name = String(repeating: "a", count: 128)
        let hidden = line("{\"number\": 6, \"event\": \"blob hidden\", \"sha512\": \"\(name)\"}")
        guard case .blobHidden(let digest) = hidden.event else { throw Unexpected() }
        #expect(digest.description == name)
        let shown = line("{\"number\": 6, \"event\": \"blob shown\", \"sha512\": \"\(name)\"}")
        guard case .blobShown = shown.event else { throw Unexpected() }
    }

    /// One whose number can't be read counts as behind the one before.
    @Test(arguments: [
        ("", 5), ("{}", 5), (#"{"number": 5, "key": "k"}"#, 5), (#"{"number": "6", "key": "k"}"#, 5), ("[6]", 5),
        (#"{"number": 6}"#, 6), (#"{"number": 6, "key": ""}"#, 6), (#"{"number": 6, "key": null}"#, 6),
        (#"{"number": 6, "event": "blob hidden", "sha512": "00"}"#, 6),
    ])
    func `what can't be read has a reason, and its place`(_ text: String, _ number: Int) throws {
        let line = line(text)
        guard case .unreadable(let reason) = line.event else { throw Unexpected() }
        #expect(!reason.isEmpty && line.number == number && line.previous == 5)
    }

    private struct Unexpected: Error {}
}
