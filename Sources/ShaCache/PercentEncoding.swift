/// Decodes the percent escapes of a URL path, once. `+` stays a plus: it means a space only in HTML forms.
///
/// - Returns: nil when a `%` is not followed by two hexadecimal digits.
public func percentDecoded(_ text: [UInt8]) -> [UInt8]? {
    guard text.contains(UInt8(ascii: "%")) else { return text }
    var decoded: [UInt8] = []
    decoded.reserveCapacity(text.count)
    var position = 0
    while position < text.count {
        guard text[position] == UInt8(ascii: "%") else {
            decoded.append(text[position])
            position += 1
            continue
        }
        guard position + 2 < text.count, text[position + 1].isHexDigit, text[position + 2].isHexDigit else {
            return nil
        }
        decoded.append(text[position + 1].nibble << 4 | text[position + 2].nibble)
        position += 3
    }
    return decoded
}

/// A text as a value in a URL's query, or as a segment of its path: of all but RFC 3986's unreserved characters and the
/// colon, which may stand in both and in most keys, the bytes of UTF-8 are escaped. A slash too: a browser would follow
/// the `..` between two of them.
public func percentEncoded(_ text: String) -> String {
    let isPlain: (UInt8) -> Bool = { byte in
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "a")...UInt8(ascii: "z"):
            true
        default: Array("-._~:".utf8).contains(byte)
        }
    }
    return text.utf8.map { isPlain($0) ? String(UnicodeScalar($0)) : "%\(hex([$0]).uppercased())" }.joined()
}
