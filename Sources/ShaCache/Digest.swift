import OpenSSL

/// The name of a blob: the SHA-512 of its bytes, in lowercase hex.
public struct Digest: Hashable, Sendable, CustomStringConvertible {
    /// 128 lowercase hexadecimal digits.
    public let description: String

    /// - Parameter digits: 128 of them, hexadecimal; uppercase is accepted, and becomes lowercase.
    public init?(hex digits: [UInt8]) {
        guard digits.count == 128, digits.allSatisfy(\.isHexDigit) else { return nil }
        // The bit that makes an ASCII letter lowercase, and that every digit has.
        description = String(decoding: digits.map { $0 | 0x20 }, as: UTF8.self)
    }

    public init?(_ text: String) { self.init(hex: Array(text.utf8)) }

    /// - Parameter bytes: what SHA-512 gave, 64 bytes.
    public init(bytes: [UInt8]) {
        precondition(bytes.count == 64, "a SHA-512 has 64 bytes")
        description = hex(bytes)
    }

    /// Of bytes that are read a piece at a time.
    ///
    /// - Parameters:
    ///   - size: in bytes, if known: of a small file, the pages of a large buffer cost more than reading it.
    ///   - read: puts some bytes from an offset on into the buffer, and returns how many; 0 at the end.
    public init<Failure>(
        size: Int? = nil,
        readingBy read: (_ offset: Int, _ buffer: UnsafeMutableRawBufferPointer) throws(Failure) -> Int
    ) throws(Failure) {
        let hash = Hash(.sha512)
        let buffer = UnsafeMutableRawBufferPointer.allocate(
            byteCount: min(1 << 20, max(size ?? .max, 1)), alignment: 4096)
        defer { buffer.deallocate() }
        var offset = 0
        while case let count = try read(offset, buffer), count > 0 {
            hash.update(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
            offset += count
        }
        self.init(bytes: hash.finish())
    }

    /// What clients are told that ask for a blob which isn't there.
    public var absence: String { "no blob has the SHA-512 \(self)" }

    public var bytes: [UInt8] { decodedHex(Array(description.utf8))! }
}

/// Lowercase hexadecimal.
public func hex(_ bytes: [UInt8]) -> String {
    let digits = Array("0123456789abcdef".utf8)
    return String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
}

/// - Returns: nil when they aren't pairs of hexadecimal digits, in either case.
public func decodedHex(_ digits: [UInt8]) -> [UInt8]? {
    guard digits.count.isMultiple(of: 2), digits.allSatisfy(\.isHexDigit) else { return nil }
    return stride(from: 0, to: digits.count, by: 2).map { digits[$0].nibble << 4 | digits[$0 + 1].nibble }
}

extension UInt8 {
    var isDigit: Bool { self >= UInt8(ascii: "0") && self <= UInt8(ascii: "9") }

    var isHexDigit: Bool {
        isDigit || (self | 0x20 >= UInt8(ascii: "a") && self | 0x20 <= UInt8(ascii: "f"))
    }

    /// Of a hexadecimal digit.
    var nibble: UInt8 { isDigit ? self - UInt8(ascii: "0") : (self | 0x20) - UInt8(ascii: "a") + 10 }
}

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
