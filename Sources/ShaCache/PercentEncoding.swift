/// Decodes the percent escapes of a URL path, once. `+` stays a plus: it means a space only in HTML forms.
///
/// - Returns: nil when a `%` is not followed by two hexadecimal digits.
public func percentDecoded(_ text: some Collection<UInt8>) -> [UInt8]? {
    var decoded: [UInt8] = []
    decoded.reserveCapacity(text.count)
    var rest = text[...]
    while let byte = rest.popFirst() {
        guard byte == UInt8(ascii: "%") else {
            decoded.append(byte)
            continue
        }
        guard let high = rest.popFirst(), let low = rest.popFirst(), high.isHexDigit, low.isHexDigit else { return nil }
        decoded.append(high.nibble << 4 | low.nibble)
    }
    return decoded
}
