import ArgumentParser
import Foundation

/// A point in time as people give it: a day, or a time, of UTC unless it says otherwise.
struct Moment: ExpressibleByArgument {
    let secondsSince1970: Int

    init?(argument: String) {
        // 2026-11-22, 2026-11-22T10:30:00 and 2026-11-22 10:30:00, with Z or an offset or nothing.
        let time = argument.replacing(" ", with: "T")
        let isTime = time.contains("T")
        let hasZone = time.contains(/T.*(Z|[+-][0-9:]+)$/)
        let text = isTime ? (hasZone ? time : "\(time)Z") : "\(time)T00:00:00Z"
        guard let date = try? Date(text, strategy: .iso8601) else { return nil }
        secondsSince1970 = Int(date.timeIntervalSince1970)
    }
}
