/// Reads one JSON document (RFC 8259, and Python's additions) from front to back.
struct JSONReader {
    private let bytes: [UInt8]
    private var position = 0
    private var depth = 0

    /// Nesting beyond this is refused: Python gives up near 1,000, and a thread's stack is finite.
    static let depthLimit = 500
    /// Python refuses to read longer integers (`sys.int_info.default_max_str_digits`).
    static let integerDigitLimit = 4300

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    mutating func document() throws(JSON.Malformed) -> JSON {
        let value = try self.value()
        guard peek == nil else { throw malformed("something follows the value") }
        return value
    }

    private func malformed(_ reason: String) -> JSON.Malformed { JSON.Malformed(reason: reason, offset: position) }

    /// The next byte that is not white space; skips what is.
    private var peek: UInt8? {
        mutating get {
            while position < bytes.count {
                switch bytes[position] {
                case 0x20, 0x09, 0x0A, 0x0D: position += 1
                default: return bytes[position]
                }
            }
            return nil
        }
    }

    private mutating func take(_ expected: String) -> Bool {
        guard bytes[position...].starts(with: expected.utf8) else { return false }
        position += expected.utf8.count
        return true
    }

    private mutating func value() throws(JSON.Malformed) -> JSON {
        switch peek {
        case UInt8(ascii: "{"): return try nested { reader throws(JSON.Malformed) in try reader.object() }
        case UInt8(ascii: "["): return try nested { reader throws(JSON.Malformed) in try reader.array() }
        case UInt8(ascii: "\""): return .string(try text())
        case nil: throw malformed("a value is missing")
        default: return try scalar()
        }
    }

    private mutating func nested(_ read: (inout Self) throws(JSON.Malformed) -> JSON) throws(JSON.Malformed) -> JSON {
        guard depth < Self.depthLimit else { throw malformed("nested more than \(Self.depthLimit) deep") }
        depth += 1
        position += 1
        let value = try read(&self)
        depth -= 1
        return value
    }

    private mutating func object() throws(JSON.Malformed) -> JSON {
        var members: [(name: JSON.Text, value: JSON)] = []
        if peek == UInt8(ascii: "}") {
            position += 1
            return .object(members)
        }
        while true {
            guard peek == UInt8(ascii: "\"") else { throw malformed("a member's name is missing") }
            let name = try text()
            guard peek == UInt8(ascii: ":") else { throw malformed("a colon is missing") }
            position += 1
            members.append((name, try value()))
            if try isLast(before: UInt8(ascii: "}")) { return .object(members) }
        }
    }

    private mutating func array() throws(JSON.Malformed) -> JSON {
        var elements: [JSON] = []
        if peek == UInt8(ascii: "]") {
            position += 1
            return .array(elements)
        }
        while true {
            elements.append(try value())
            if try isLast(before: UInt8(ascii: "]")) { return .array(elements) }
        }
    }

    /// After an element: whether `end` closes the list, or a comma goes on with it.
    private mutating func isLast(before end: UInt8) throws(JSON.Malformed) -> Bool {
        switch peek {
        case end:
            position += 1
            return true
        case UInt8(ascii: ","):
            position += 1
            return false
        default:
            throw malformed("a comma or the end is missing")
        }
    }

    private mutating func scalar() throws(JSON.Malformed) -> JSON {
        if take("null") { return .null }
        if take("true") { return .bool(true) }
        if take("false") { return .bool(false) }
        for name in ["NaN", "Infinity", "-Infinity"] where take(name) { return .number(name) }
        return try number()
    }

    private mutating func number() throws(JSON.Malformed) -> JSON {
        let start = position
        _ = take("-")
        let whole = digits()
        guard whole > 0 else { throw malformed("not a value") }
        guard whole == 1 || bytes[position - whole] != UInt8(ascii: "0") else {
            throw malformed("a number starts with 0")
        }
        var isInteger = true
        if take(".") {
            isInteger = false
            guard digits() > 0 else { throw malformed("a digit is missing") }
        }
        if take("e") || take("E") {
            isInteger = false
            _ = take("+") || take("-")
            guard digits() > 0 else { throw malformed("a digit is missing") }
        }
        guard !isInteger || whole <= Self.integerDigitLimit else {
            throw malformed("an integer has more than \(Self.integerDigitLimit) digits")
        }
        return .number(String(decoding: bytes[start..<position], as: UTF8.self))
    }

    /// Skips digits, and says how many.
    private mutating func digits() -> Int {
        let start = position
        while position < bytes.count, bytes[position].isDigit { position += 1 }
        return position - start
    }

    private mutating func text() throws(JSON.Malformed) -> JSON.Text {
        position += 1
        var text: [UInt8] = []
        var hasLoneSurrogate = false
        while position < bytes.count {
            let byte = bytes[position]
            switch byte {
            case UInt8(ascii: "\""):
                position += 1
                return JSON.Text(bytes: text, hasLoneSurrogate: hasLoneSurrogate)
            case UInt8(ascii: "\\"):
                let scalar = try escape()
                hasLoneSurrogate = hasLoneSurrogate || (0xD800...0xDFFF).contains(scalar)
                append(scalar, to: &text)
            case 0..<0x20:
                throw malformed("a control character stands in a string")
            default:
                text.append(byte)
                position += 1
            }
        }
        throw malformed("a string has no end")
    }

    /// The code point that an escape means; a surrogate only when its other half is missing.
    private mutating func escape() throws(JSON.Malformed) -> UInt32 {
        position += 1
        guard position < bytes.count else { throw malformed("a string has no end") }
        let letter = bytes[position]
        position += 1
        switch letter {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return UInt32(letter)
        case UInt8(ascii: "b"): return 0x08
        case UInt8(ascii: "f"): return 0x0C
        case UInt8(ascii: "n"): return 0x0A
        case UInt8(ascii: "r"): return 0x0D
        case UInt8(ascii: "t"): return 0x09
        case UInt8(ascii: "u"): break
        default: throw malformed("an unknown escape")
        }
        let unit = try fourHexDigits()
        guard (0xD800...0xDBFF).contains(unit), bytes[position...].starts(with: "\\u".utf8) else { return unit }
        let afterFirst = position
        position += 2
        let second = try fourHexDigits()
        guard (0xDC00...0xDFFF).contains(second) else {
            position = afterFirst
            return unit
        }
        return 0x10000 + (unit - 0xD800) << 10 + (second - 0xDC00)
    }

    private mutating func fourHexDigits() throws(JSON.Malformed) -> UInt32 {
        guard position + 4 <= bytes.count, bytes[position..<position + 4].allSatisfy(\.isHexDigit) else {
            throw malformed("an escape lacks its four hexadecimal digits")
        }
        defer { position += 4 }
        return bytes[position..<position + 4].reduce(0) { $0 << 4 | UInt32($1.nibble) }
    }

    private func append(_ scalar: UInt32, to text: inout [UInt8]) {
        if let valid = Unicode.Scalar(scalar) {
            text.append(contentsOf: UTF8.encode(valid)!)
        } else {
            text += [0xE0 | UInt8(scalar >> 12), 0x80 | UInt8(scalar >> 6 & 0x3F), 0x80 | UInt8(scalar & 0x3F)]
        }
    }
}
