import Testing

@testable import Fetching

struct ByteRangeTests {
    @Test(arguments: [
        ("bytes=0-0", ByteRange.part(0..<1)), ("bytes=5-", .part(5..<10)), ("bytes=5-99", .part(5..<10)),
        ("bytes=-3", .part(7..<10)), ("bytes=-99", .part(0..<10)), ("BYTES=2-3", .part(2..<4)),
        ("bytes=10-", .unsatisfiable), ("bytes=-0", .unsatisfiable),
        ("", .whole), ("bytes=3-2", .whole), ("bytes=-", .whole), ("bytes=1-2,4-5", .whole), ("bytes=x", .whole),
        ("items=1-2", .whole), ("bytes=99999999999999999999-", .whole),
    ])
    func `of ten bytes`(_ text: String, _ range: ByteRange) { #expect(ByteRange(text, of: 10) == range) }

    @Test func `of nothing, nothing can be asked for`() {
        #expect(ByteRange("bytes=0-", of: 0) == .unsatisfiable)
        #expect(ByteRange("bytes=-5", of: 0) == .unsatisfiable)
    }
}
