/// What the deployed clients' language does with JSON: they decide how an entry reads and which one is greater.
extension JSON {
    /// As Python's `json.dumps` writes it, in ASCII. An entry that says the same is then the same bytes, and with the
    /// same key the same signature, whichever client made it.
    ///
    /// - Parameter indent: spaces for each level; nil puts all on one line.
    public func dumped(indent: Int? = nil, sortingNames: Bool = false) -> String {
        var writer = PythonWriter(indent: indent, sortsNames: sortingNames)
        writer.write(self)
        return writer.text
    }
}

private struct PythonWriter {
    var text = ""
    private let indent: Int?
    private let sortsNames: Bool
    private var level = 0

    init(indent: Int?, sortsNames: Bool) {
        self.indent = indent
        self.sortsNames = sortsNames
    }

    mutating func write(_ value: JSON) {
        switch value {
        case .null: text += "null"
        case .bool(let value): text += value ? "true" : "false"
        case .number(let literal): text += PythonNumber(literal).description
        case .string(let value): text += value.quoted
        case .array(let elements): list("[", elements, "]") { $0.write($1) }
        case .object(let members):
            list("{", distinct(members), "}") { writer, member in
                writer.text += "\(member.name.quoted): "
                writer.write(member.value)
            }
        }
    }

    private mutating func list<Element>(
        _ open: String, _ elements: [Element], _ close: String, _ write: (inout Self, Element) -> Void
    ) {
        text += open
        level += 1
        for (index, element) in elements.enumerated() {
            if index > 0 { text += indent == nil ? ", " : "," }
            startLine()
            write(&self, element)
        }
        level -= 1
        if !elements.isEmpty { startLine() }
        text += close
    }

    private mutating func startLine() {
        guard let indent else { return }
        text += "\n" + String(repeating: " ", count: indent * level)
    }

    /// A dict has each name once: where it first stood, with the value that came last.
    private func distinct(_ members: [(name: JSON.Text, value: JSON)]) -> [(name: JSON.Text, value: JSON)] {
        var places: [[UInt8]: Int] = [:]
        var result: [(name: JSON.Text, value: JSON)] = []
        for member in members {
            if let place = places[member.name.bytes] {
                result[place].value = member.value
            } else {
                places[member.name.bytes] = result.count
                result.append(member)
            }
        }
        return sortsNames ? result.sorted { $0.name.bytes.lexicographicallyPrecedes($1.name.bytes) } : result
    }
}

extension JSON.Text {
    /// In quotes, with an escape for everything beyond ASCII.
    fileprivate var quoted: String {
        var quoted = "\""
        for scalar in codePoints {
            switch scalar {
            case 0x22: quoted += "\\\""
            case 0x5C: quoted += "\\\\"
            case 0x08: quoted += "\\b"
            case 0x09: quoted += "\\t"
            case 0x0A: quoted += "\\n"
            case 0x0C: quoted += "\\f"
            case 0x0D: quoted += "\\r"
            case 0x20..<0x7F: quoted.unicodeScalars.append(Unicode.Scalar(UInt8(scalar)))
            case 0x10000...:
                quoted += escape(0xD800 + (scalar - 0x10000) >> 10) + escape(0xDC00 + (scalar & 0x3FF))
            default: quoted += escape(scalar)
            }
        }
        return quoted + "\""
    }

    private func escape(_ unit: UInt32) -> String { "\\u" + hex([UInt8(unit >> 8), UInt8(unit & 0xFF)]) }

    /// Lone surrogates too.
    private var codePoints: [UInt32] {
        var points: [UInt32] = []
        for byte in bytes {
            switch byte {
            case 0x80..<0xC0: points[points.count - 1] = points[points.count - 1] << 6 | UInt32(byte & 0x3F)
            case 0xC0..<0xE0: points.append(UInt32(byte & 0x1F))
            case 0xE0..<0xF0: points.append(UInt32(byte & 0x0F))
            case 0xF0...: points.append(UInt32(byte & 0x07))
            default: points.append(UInt32(byte))
            }
        }
        return points
    }
}

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
