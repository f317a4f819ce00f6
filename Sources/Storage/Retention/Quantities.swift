/// A time for which something is kept, as operators write it: `90 days`.
public struct RetentionPeriod: Sendable, Equatable {
    public let seconds: Int
    public let text: String

    /// - Parameter text: a whole number from 1 on, a space or none, and seconds, minutes, hours, days or weeks, or one of
    ///   them in the singular.
    public init?(_ text: String) {
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        let unit = text.dropFirst(digits.count).drop { $0 == " " }
        guard let number = Int(digits), number > 0,
            let length = Self.units[unit.hasSuffix("s") ? String(unit.dropLast()) : String(unit)]
        else { return nil }
        let (seconds, overflow) = number.multipliedReportingOverflow(by: length)
        guard !overflow, seconds <= Self.longest else { return nil }
        (self.seconds, self.text) = (seconds, text)
    }

    private static let units = ["second": 1, "minute": 60, "hour": 3600, "day": 86400, "week": 604_800]
    /// A thousand years: before that, PostgreSQL's calendar has a time for all that was ever uploaded.
    private static let longest = 1000 * 366 * 86400
}

/// A number of bytes as operators write it: `500 GB`, `500G` or `536870912000`. K, M, G and T are powers of 1024, as they are
/// in the limits of accounts.
///
/// - Returns: nil when it is none, or more than fits.
public func byteCount(_ text: String) -> Int? {
    let digits = text.prefix { $0.isASCII && $0.isNumber }
    var unit = text.dropFirst(digits.count).drop { $0 == " " }.uppercased()
    if unit.hasSuffix("IB") && unit.count == 3 { unit.removeLast(2) } else if unit.hasSuffix("B") { unit.removeLast() }
    let units = ["": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40]
    guard let number = Int(digits), let size = units[unit] else { return nil }
    let (bytes, overflow) = number.multipliedReportingOverflow(by: size)
    return overflow ? nil : bytes
}
