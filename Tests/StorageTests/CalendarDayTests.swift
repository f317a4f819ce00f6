import Storage
import Testing

/// Fails without the checks in CalendarDay.init: PostgreSQL would refuse the day, or take it for another.
struct CalendarDayTests {
    @Test(arguments: ["2026-01-31", "2024-02-29", "2000-02-29", "0001-01-01", "9999-12-31"])
    func `a day of the calendar is taken as it is written`(_ text: String) throws {
        #expect(try #require(CalendarDay(text)).text == text)
    }

    @Test(arguments: [
        "2026-02-29", "1900-02-29", "2026-04-31", "2026-13-01", "2026-00-10", "2026-01-00", "0000-01-01",
        "2026-1-31", "26-01-31", "2026-01-31 ", "2026-01-31T00:00", "2026/01/31", "today", "", "٢٠٢٦-٠١-٣١",
    ])
    func `what is no day of the calendar is none`(_ text: String) {
        #expect(CalendarDay(text) == nil)
    }
}
