import Storage
import Testing

@testable import Pages

struct ReportColumnTests {
    @Test(arguments: [
        ("{}", []), ("{a}", ["a"]), ("{a,b}", ["a", "b"]), (#"{"a,b","c\"d","e\\",""}"#, ["a,b", "c\"d", "e\\", ""]),
        (#"{"\#u{301}q","NULL"}"#, ["\u{301}q", "NULL"]),
    ])
    func `an array is the list of its elements`(_ array: String, _ elements: [String]) {
        #expect(ReportColumn.elements(array) == elements)
    }

    @Test func `bytes are said in three digits, and to the last one in the title`() {
        let cell = ReportColumn("stored_bytes", .number).cell(.number("1048576"))
        #expect(cell["text"] as? String == "1.0\u{A0}MiB")
        #expect(cell["title"] as? String == "1\u{202F}048\u{202F}576\u{A0}bytes")
    }

    @Test func `a time is shown to the second`() {
        let cell = ReportColumn("at", .time).cell(.text("2026-11-28 09:48:59.568957+00"))
        #expect(cell["text"] as? String == "2026-11-28 09:48:59")
        #expect(cell["title"] as? String == "2026-11-28 09:48:59.568957+00")
    }

    // The column's kind counts, not the value's.
    @Test func `what is missing stands among numbers as a number does`() {
        #expect(ReportColumn("bytes", .number).cell(.null)["isNumber"] as? Bool == true)
        #expect(ReportColumn("duplicate", .truth).cell(.text("t"))["text"] as? String == "yes")
        #expect(ReportColumn("duplicate", .truth).cell(.null)["text"] as? String == "–")
    }
}
