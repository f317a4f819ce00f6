import Foundation

/// Numbers and times as people read them.
enum Format {
    /// With a thin space between thousands, which no line breaks.
    static func count(_ number: Int) -> String {
        let digits = Array(String(number.magnitude))
        let groups = stride(from: digits.count, to: 0, by: -3).map { String(digits[max(0, $0 - 3)..<$0]) }.reversed()
        return (number < 0 ? "−" : "") + groups.joined(separator: "\u{202F}")
    }

    /// In units of 1024.
    static func bytes(_ number: Int) -> String {
        var (value, unit) = (Double(number), 0)
        while value >= 999.5, unit < units.count - 1 { (value, unit) = (value / 1024, unit + 1) }
        let text = unit == 0 || value >= 99.5 ? String(Int(value.rounded())) : String((value * 10).rounded() / 10)
        return "\(text)\u{A0}\(units[unit])"
    }

    private static let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]

    static func plural(_ number: Int, _ one: String, _ many: String) -> String {
        "\(count(number))\u{A0}\(number == 1 ? one : many)"
    }

    /// A point in time, for `<time>` and for people.
    ///
    /// - Parameter seconds: since 1970.
    static func time(_ seconds: Int, now: Int) -> Templates.Model {
        let date = Date(timeIntervalSince1970: Double(seconds))
        let iso = date.formatted(.iso8601)
        return [
            "iso": iso, "text": "\(iso.prefix(10)) \(iso.dropFirst(11).prefix(5)) UTC", "age": age(now - seconds),
        ]
    }

    private static func age(_ seconds: Int) -> String {
        let steps = [
            (31_556_952, "year", "years"), (2_629_746, "month", "months"), (86_400, "day", "days"),
            (3600, "hour", "hours"), (60, "minute", "minutes"),
        ]
        guard let (length, one, many) = steps.first(where: { seconds.magnitude >= $0.0 }) else { return "just now" }
        let span = plural(Int(seconds.magnitude) / length, one, many)
        return seconds < 0 ? "in \(span)" : "\(span) ago"
    }
}
