/// A number of a JSON document, as Python reads it: an int of any length, or a float.
enum PythonNumber: CustomStringConvertible {
    /// Without leading zeros; zero isn't negative.
    case int(isNegative: Bool, digits: [UInt8])
    case float(Double)

    init(_ literal: String) {
        guard literal.utf8.allSatisfy({ $0.isDigit || $0 == UInt8(ascii: "-") }) else {
            // The same spellings, but for the names that only Python has.
            self = .float(Double(literal.replacing("Infinity", with: "inf")) ?? .nan)
            return
        }
        let digits = Array(literal.utf8.drop { $0 == UInt8(ascii: "-") })
        self = .int(isNegative: literal.hasPrefix("-") && digits != [UInt8(ascii: "0")], digits: digits)
    }

    /// As `json.dumps` writes it.
    var description: String {
        switch self {
        case .int(let isNegative, let digits): (isNegative ? "-" : "") + String(decoding: digits, as: UTF8.self)
        case .float(let value) where value.isNaN: "NaN"
        case .float(let value) where value.isInfinite: value < 0 ? "-Infinity" : "Infinity"
        // Both write the fewest digits that read back as the same number.
        case .float(let value): value.description
        }
    }

    private var double: Double {
        switch self {
        case .int: Double(description) ?? .nan
        case .float(let value): value
        }
    }

    /// nil when one of them is not a number.
    static func order(_ one: PythonNumber, _ other: PythonNumber) -> Ordering? {
        if case .int(let negative, let digits) = one, case .int(let otherNegative, let otherDigits) = other {
            return order(negative, digits, otherNegative, otherDigits)
        }
        // An int beyond 2^53 is rounded here, where Python compares it exactly.
        let (left, right) = (one.double, other.double)
        return left < right ? .less : left > right ? .greater : left == right ? .equal : nil
    }

    private static func order(
        _ negative: Bool, _ digits: [UInt8], _ otherNegative: Bool, _ otherDigits: [UInt8]
    ) -> Ordering {
        guard negative == otherNegative else { return negative ? .less : .greater }
        guard digits != otherDigits else { return .equal }
        let isSmaller =
            digits.count == otherDigits.count
            ? digits.lexicographicallyPrecedes(otherDigits) : digits.count < otherDigits.count
        return isSmaller != negative ? .less : .greater
    }
}
