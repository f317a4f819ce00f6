import Foundation

/// A day of the calendar that people count by, from the year 1 on: one that PostgreSQL takes for a date.
public struct CalendarDay: Sendable {
    /// `YYYY-MM-DD`.
    public let text: String

    public init?(_ text: String) {
        guard let match = text.wholeMatch(of: /([0-9]{4})-([0-9]{2})-([0-9]{2})/), let year = Int(match.1), year > 0
        else { return nil }
        let day = DateComponents(year: year, month: Int(match.2), day: Int(match.3))
        guard day.isValidDate(in: Calendar(identifier: .gregorian)) else { return nil }
        self.text = text
    }
}
