/// A JSON value, read as strictly as Python's `json` reads it: the deployed clients decide what is valid.
///
/// Like them it takes `NaN`, `Infinity`, `-Infinity`, repeated names (the last one counts) and escaped lone
/// surrogates. Unlike Foundation's reader it refuses UTF-16, a byte order mark, and a comma before a bracket.
public indirect enum JSON: Sendable {
    case null
    case bool(Bool)
    /// As it is written, `NaN`, `Infinity` and `-Infinity` too.
    case number(String)
    case string(Text)
    case array([JSON])
    case object([(name: Text, value: JSON)])

    /// The characters of a JSON string.
    public struct Text: Sendable {
        /// UTF-8, in which a lone surrogate has the three bytes that UTF-8 itself never uses.
        let bytes: [UInt8]
        /// An escape such as `\ud800` without its other half: Python reads it, but can't encode it again.
        public let hasLoneSurrogate: Bool

        init(bytes: [UInt8], hasLoneSurrogate: Bool) {
            self.bytes = bytes
            self.hasLoneSurrogate = hasLoneSurrogate
        }

        public init(_ string: String) { self.init(bytes: Array(string.utf8), hasLoneSurrogate: false) }

        /// nil when it can't be said in Unicode.
        public var string: String? { hasLoneSurrogate ? nil : String(decoding: bytes, as: UTF8.self) }
    }

    /// The value of a member of an object; nil for other values too.
    public subscript(name: String) -> JSON? {
        guard case .object(let members) = self else { return nil }
        return members.last { $0.name.bytes.elementsEqual(name.utf8) }?.value
    }

    public var string: String? {
        guard case .string(let text) = self else { return nil }
        return text.string
    }

    public init(_ string: String) { self = .string(Text(string)) }

    public static func object(_ members: KeyValuePairs<String, JSON>) -> JSON {
        .object(members.map { (Text($0.key), $0.value) })
    }

    public init(_ strings: [String]) { self = .array(strings.map { JSON($0) }) }

    /// Why bytes are not JSON, and where.
    public struct Malformed: Error {
        public let reason: String
        /// Counted in bytes from 0.
        public let offset: Int
    }

    public init(_ bytes: [UInt8]) throws(Malformed) {
        // Checked as a whole, so that the reader need only know about ASCII.
        guard String(validating: bytes, as: UTF8.self) != nil else {
            throw Malformed(reason: "invalid UTF-8", offset: 0)
        }
        var reader = JSONReader(bytes)
        self = try reader.document()
    }
}

extension JSON {
    /// Whether a URL in a string or a name has a user or a password.
    public var hasCredentials: Bool {
        switch self {
        case .string(let text): text.hasCredentials
        case .array(let elements): elements.contains(where: \.hasCredentials)
        case .object(let members): members.contains { $0.name.hasCredentials || $0.value.hasCredentials }
        case .null, .bool, .number: false
        }
    }
}

extension JSON.Text {
    fileprivate var hasCredentials: Bool { String(decoding: bytes, as: UTF8.self).hasCredentials }
}

extension String {
    /// Whether a URL in it has a user or a password.
    public var hasCredentials: Bool { !withoutCredentials(in: self).utf8.elementsEqual(utf8) }
}

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
