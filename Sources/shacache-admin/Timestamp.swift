import Foundation

/// As the database writes a time.
func timestamp(_ secondsSince1970: Int) -> String {
    Date(timeIntervalSince1970: TimeInterval(secondsSince1970)).formatted(.iso8601.dateTimeSeparator(.space))
        .replacing("Z", with: "+00")
}
