extension [UInt8] {
    /// Appends text as a JSON string. Only what JSON demands is escaped, so that readers get the same bytes back.
    ///
    /// - Parameter utf8: not checked to be UTF-8.
    public mutating func appendJSONString(_ utf8: UnsafeRawBufferPointer) {
        append(UInt8(ascii: "\""))
        for byte in utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"):
                append(UInt8(ascii: "\\"))
                append(byte)
            case 0..<0x20:
                append(contentsOf: "\\u00\(hex([byte]))".utf8)
            default:
                append(byte)
            }
        }
        append(UInt8(ascii: "\""))
    }

    public mutating func appendJSONString(_ text: String) {
        var text = text
        text.withUTF8 { appendJSONString(UnsafeRawBufferPointer($0)) }
    }
}
