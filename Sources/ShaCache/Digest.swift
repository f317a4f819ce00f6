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

    public var bytes: [UInt8] {
        let digits = Array(description.utf8)
        return stride(from: 0, to: digits.count, by: 2).map { digits[$0].nibble << 4 | digits[$0 + 1].nibble }
    }
}

/// Lowercase hexadecimal.
public func hex(_ bytes: [UInt8]) -> String {
    let digits = Array("0123456789abcdef".utf8)
    return String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
}

extension UInt8 {
    var isDigit: Bool { self >= UInt8(ascii: "0") && self <= UInt8(ascii: "9") }

    var isHexDigit: Bool {
        isDigit || (self | 0x20 >= UInt8(ascii: "a") && self | 0x20 <= UInt8(ascii: "f"))
    }

    /// Of a hexadecimal digit.
    var nibble: UInt8 { isDigit ? self - UInt8(ascii: "0") : (self | 0x20) - UInt8(ascii: "a") + 10 }
}
