/// Decodes base64 (RFC 4648, section 4), with line breaks between its characters or without.
///
/// - Returns: nil unless every character belongs to the alphabet and the padding is exact. Python's decoder,
///   with which the deployed clients read signatures, raises on wrong padding and so loses the whole key.
func base64Decoded(_ text: some Sequence<UInt8>) -> [UInt8]? {
    let characters = text.filter { $0 != UInt8(ascii: "\n") && $0 != UInt8(ascii: "\r") }
    guard characters.count % 4 == 0 else { return nil }
    let padding = characters.reversed().prefix { $0 == UInt8(ascii: "=") }.count
    guard padding <= 2 else { return nil }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(characters.count / 4 * 3)
    var bits: UInt32 = 0
    for (index, character) in characters.dropLast(padding).enumerated() {
        guard let value = base64Value(character) else { return nil }
        bits = bits << 6 | value
        if index % 4 == 3 { bytes += [UInt8(bits >> 16 & 0xFF), UInt8(bits >> 8 & 0xFF), UInt8(bits & 0xFF)] }
    }
    switch padding {
    case 1: bytes += [UInt8(bits >> 10 & 0xFF), UInt8(bits >> 2 & 0xFF)]
    case 2: bytes.append(UInt8(bits >> 4 & 0xFF))
    default: break
    }
    return bytes
}

private func base64Value(_ character: UInt8) -> UInt32? {
    switch character {
    case UInt8(ascii: "A")...UInt8(ascii: "Z"): UInt32(character - UInt8(ascii: "A"))
    case UInt8(ascii: "a")...UInt8(ascii: "z"): UInt32(character - UInt8(ascii: "a") + 26)
    case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt32(character - UInt8(ascii: "0") + 52)
    case UInt8(ascii: "+"): 62
    case UInt8(ascii: "/"): 63
    default: nil
    }
}

/// Base64 with padding and without line breaks.
public func base64(_ bytes: [UInt8]) -> String {
    let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    var text: [UInt8] = []
    for start in stride(from: 0, to: bytes.count, by: 3) {
        let group = bytes[start...].prefix(3)
        let bits = group.reduce(0) { $0 << 8 | UInt32($1) } << (8 * (3 - group.count))
        text += (0...group.count).map { alphabet[Int(bits >> (18 - 6 * $0) & 63)] }
        text += [UInt8](repeating: UInt8(ascii: "="), count: 3 - group.count)
    }
    return String(decoding: text, as: UTF8.self)
}
