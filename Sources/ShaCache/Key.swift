public import OpenSSL

/// What entries are listed under: any text that is safe to log, to store and to put into a URL.
///
/// Two keys are the same only when their bytes are: no case folding, no merging of slashes, no Unicode
/// normalisation. Compare `text.utf8`, since Swift's `==` on strings calls differently composed letters equal.
public struct Key: Sendable {
    public let text: String

    /// In bytes of UTF-8.
    public static let lengthLimit = 1024

    /// - Parameter raw: as it stood in the request's path, percent escapes and all.
    public init(percentEncoded raw: [UInt8]) throws(Refusal) {
        guard let bytes = percentDecoded(raw) else {
            throw .malformedKey("the key holds a % that is not followed by two hexadecimal digits")
        }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw .malformedKey("the key is not valid UTF-8")
        }
        try self.init(text)
    }

    public init(_ text: String) throws(Refusal) {
        let bytes = text.utf8
        guard !bytes.isEmpty else { throw .malformedKey("the key is empty") }
        guard bytes.count <= Self.lengthLimit else {
            throw .malformedKey("the key has \(bytes.count) bytes, more than \(Self.lengthLimit)")
        }
        guard text != ".", text != ".." else { throw .malformedKey("the key is \(text), which names no entry") }
        guard !text.unicodeScalars.contains(where: { $0.properties.generalCategory == .control }) else {
            throw .malformedKey("the key holds a control character")
        }
        self.text = text
    }

    /// For a client.
    public var absence: String { "nothing is listed under the key \(text)" }

    /// - Parameter text: made of hexadecimal digits and the like, so that nothing can be wrong with it.
    init(known text: String) { self.text = text }
}

/// The keys that the deployed clients make of what they look for. Those with an MD5 can be made unless OpenSSL was
/// built without it.
extension Key {
    /// Of a source archive, by the URL of its origin.
    public static func source(url: String) throws(OpenSSLError) -> Key {
        Key(known: "file-urlmd5:\(try md5(url))")
    }

    /// Of the same, as buildouts made it before they had `source`.
    public static func olderSource(url: String) throws(OpenSSLError) -> Key {
        Key(known: "\(url.contains("pypi") ? "pypi" : "slapos")-buildout-\(try md5(url))")
    }

    /// Of a Python distribution.
    public static func python(name: String, version: String) throws(Refusal) -> Key {
        try Key("pypi:\(name)=\(version)")
    }

    /// Of a compiled software release, by the URL of its profile; its directory on a node has the same name.
    public static func softwareRelease(url: String) throws(OpenSSLError) -> Key { Key(known: try md5(url)) }

    private static func md5(_ text: String) throws(OpenSSLError) -> String {
        try Hash.Algorithm.md5.require()
        return hex(Hash.digest(.md5, of: text.utf8))
    }

    /// As it stands in a request's path. Only what would end the path or can't be in it is escaped: some servers of
    /// the protocol take the rest as it comes, which is how the deployed clients send it.
    public var percentEncoded: String {
        var encoded: [UInt8] = []
        for byte in text.utf8 {
            switch byte {
            case 0...0x20, 0x7F..., UInt8(ascii: "%"), UInt8(ascii: "?"), UInt8(ascii: "#"):
                encoded += Array("%\(hex([byte]).uppercased())".utf8)
            default:
                encoded.append(byte)
            }
        }
        return String(decoding: encoded, as: UTF8.self)
    }
}

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
