import ArgumentParser
import Foundation

/// A point in time, as options give it and as messages have it.
struct Timestamp: CustomStringConvertible {
    let secondsSince1970: Int

    init(_ secondsSince1970: Int) { self.secondsSince1970 = secondsSince1970 }

    /// In the format of the database: `2026-11-22 10:30:00+00`.
    var description: String {
        Date(timeIntervalSince1970: TimeInterval(secondsSince1970)).formatted(.iso8601.dateTimeSeparator(.space))
            .replacing("Z", with: "+00")
    }
}

extension Timestamp: ExpressibleByArgument {
    /// - Parameter argument: a day or a time, of UTC unless it has a zone: `2026-11-22`, `2026-11-22T10:30:00` or
    ///   `2026-11-22 10:30:00`, with `Z`, an offset or nothing.
    init?(argument: String) {
        let time = argument.replacing(" ", with: "T")
        let isTime = time.contains("T")
        let hasZone = time.contains(/T.*(Z|[+-][0-9:]+)$/)
        let text = isTime ? (hasZone ? time : "\(time)Z") : "\(time)T00:00:00Z"
        guard let date = try? Date(text, strategy: .iso8601) else { return nil }
        self.init(Int(date.timeIntervalSince1970))
    }
}
