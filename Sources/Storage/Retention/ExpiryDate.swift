import CLinux
import Glibc
import ShaCache

/// When an entry's metadata says that its time is over: its `expiration_date` or `valid-until`, the earlier of both.
///
/// No client agrees with another on how a date is written. ERP5's shadir has `str(DateTime())` of Zope, others ISO 8601,
/// the dates of mail and HTTP, what `ctime` prints, or seconds (or milliseconds) since 1970, as a number or a text. What
/// can't be read is no date: nothing ever expires by it. A date without a time ends with its day. Without a zone it is
/// UTC, and in a zone whose name isn't known it is as late as anywhere (UTC-12).
public enum ExpiryDate {
    static let names = ["expiration_date", "valid-until"]
    /// Bytes. Longer metadata isn't read.
    static let metadataLimit = 32 << 10

    /// - Parameter metadata: as it was signed.
    /// - Returns: seconds since 1970; nil: never.
    public static func of(metadata: some Sequence<UInt8>) -> Int? {
        guard let document = try? JSON(Array(metadata)) else { return nil }
        return names.compactMap { document[$0] }.compactMap(read).min()
    }

    static func read(_ value: JSON) -> Int? {
        switch value {
        case .number(let digits): Double(digits).flatMap(sinceEpoch)
        case .string: value.string.flatMap(read)
        case .null, .bool, .array, .object: nil
        }
    }

    /// - Parameter text: any of the writings.
    /// - Returns: seconds since 1970.
    static func read(_ text: String) -> Int? {
        let text = text.drop { $0 == " " }
        // Before seconds: eight digits are a day.
        for format in formats {
            var parts = tm()
            if let rest = parse(text, format.date, &parts), let seconds = time(rest, &parts, format.hasYearLast) {
                return seconds
            }
        }
        return Double(text).flatMap(sinceEpoch)
    }

    /// Later ones first where one is the beginning of another.
    private static let formats: [(date: String, hasYearLast: Bool)] = [
        ("%Y-%m-%d", false), ("%Y/%m/%d", false), ("%Y%m%d", false), ("%a, %d %b %Y", false), ("%d %b %Y", false),
        ("%a %b %d", true),
    ]

    /// From 2001 on, or its milliseconds. What is less is more likely something else.
    private static func sinceEpoch(_ number: Double) -> Int? {
        switch number {
        case 1e9..<1e11: Int(number.rounded(.up))
        case 1e12..<1e14: Int((number / 1000).rounded(.up))
        default: nil
        }
    }

    /// - Parameters:
    ///   - rest: what is behind the date: nothing, or a time and perhaps a zone.
    ///   - hasYearLast: as `ctime` writes it.
    private static func time(_ rest: Substring, _ parts: inout tm, _ hasYearLast: Bool) -> Int? {
        if rest.allSatisfy({ $0 == " " }), !hasYearLast { return secondsInUTC(parts).map { $0 + day } }
        guard let separator = rest.first, "Tt ".contains(separator) else { return nil }
        let clock = rest.dropFirst().drop { $0 == " " }
        guard
            var rest = parse(clock, "%H:%M:%S", &parts) ?? parse(clock, "%H:%M", &parts)
                ?? parse(clock, "%H%M%S", &parts)
        else { return nil }
        // A fraction of a second makes no difference here.
        if let mark = rest.first, ".,".contains(mark) { rest = rest.dropFirst().drop { $0.isASCII && $0.isNumber } }
        if hasYearLast {
            guard let end = parse(rest.drop { $0 == " " }, "%Y", &parts) else { return nil }
            rest = end
        }
        guard let offset = secondsEast(rest), let local = secondsInUTC(parts) else { return nil }
        return local - offset
    }

    private static let day = 86400

    /// - Parameter zone: as it is written; Zope's `GMT+2` is east of Greenwich, as is `+02:00`.
    /// - Returns: nil when it is no zone.
    private static func secondsEast(_ zone: Substring) -> Int? {
        var zone = zone.drop { $0 == " " }
        while zone.last == " " { zone.removeLast() }
        for name in ["GMT", "UTC", "UT", "Z", "z", "Universal"] where zone.hasPrefix(name) {
            guard zone.count > name.count else { return 0 }
            guard let sign = zone.dropFirst(name.count).first, "+-".contains(sign) else { break }
            zone = zone.dropFirst(name.count)
            break
        }
        guard let sign = zone.first else { return 0 }
        if "+-".contains(sign) { return offset(zone.dropFirst()).map { sign == "-" ? -$0 : $0 } }
        let isName =
            sign.isASCII && sign.isLetter
            && zone.allSatisfy { $0.isASCII && ($0.isLetter || "/_-+0123456789 ()".contains($0)) }
        return isName ? -12 * 3600 : nil
    }

    /// - Parameter digits: `2`, `02`, `0230` or `2:30`; behind it, mail may have a name in parentheses.
    private static func offset(_ digits: Substring) -> Int? {
        let number = digits.prefix { $0.isASCII && ($0.isNumber || $0 == ":") }
        guard digits.dropFirst(number.count).allSatisfy({ $0 != ":" && !($0.isNumber) }) else { return nil }
        let parts = number.split(separator: ":", omittingEmptySubsequences: false).map { Int($0) }
        let (hours, minutes): (Int?, Int?) =
            switch parts.count {
            case 1 where number.count > 2: (Int(number.dropLast(2)), Int(number.suffix(2)))
            case 1: (parts[0], 0)
            case 2: (parts[0], parts[1])
            default: (nil, nil)
            }
        guard let hours, let minutes, hours <= 14, minutes < 60 else { return nil }
        return hours * 3600 + minutes * 60
    }

    /// - Returns: what is behind it; nil when it isn't written so.
    private static func parse(_ text: Substring, _ format: String, _ parts: inout tm) -> Substring? {
        String(text).withCString { start in
            guard let end = strptime(start, format, &parts) else { return nil }
            return Substring(String(cString: end))
        }
    }

    /// - Returns: nil for a day that no calendar has, as is February 30.
    private static func secondsInUTC(_ parts: tm) -> Int? {
        var normal = parts
        let seconds = timegm(&normal)
        return normal.tm_mday == parts.tm_mday && normal.tm_mon == parts.tm_mon ? seconds : nil
    }
}
