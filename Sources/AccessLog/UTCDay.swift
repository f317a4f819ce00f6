import CLinux
import Glibc

/// The day in UTC, `2026-01-31`, of a time as nginx's `$time_iso8601` has it, in whatever zone.
func utcDay(_ text: String) -> String? {
    var time = tm()
    let isWhole = text.withCString { strptime($0, "%Y-%m-%dT%H:%M:%S%z", &time)?.pointee == 0 }
    guard isWhole else { return nil }
    // timegm takes it for UTC, whatever it says of its zone.
    let zone = time.tm_gmtoff
    var seconds = timegm(&time) - zone
    gmtime_r(&seconds, &time)
    // A damaged line may say anything; the database doesn't take every year.
    guard (100..<8000).contains(time.tm_year) else { return nil }
    let (year, month, day) = (time.tm_year + 1900, time.tm_mon + 1, time.tm_mday)
    return "\(year)-\(month < 10 ? "0" : "")\(month)-\(day < 10 ? "0" : "")\(day)"
}
