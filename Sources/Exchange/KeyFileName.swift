public import ShaCache
import System

/// The name of a key's file in an exported directory: the key itself as far as a file can be called so, which is how
/// slapproxy names it. `/` and `%` are escaped, as in a URL. A name that is longer than a file's may be goes on in a
/// directory, whose name ends with a bare `%`: no escape does.
public enum KeyFileName {
    /// In bytes; the bare `%` is the 255th, which is what file systems take.
    private static let longest = 254

    /// Below the directory of keys.
    public static func path(of key: Key) -> String {
        var parts: [[UInt8]] = [[]]
        for scalar in key.text.unicodeScalars {
            let bytes = escaped(scalar)
            if parts.last!.count + bytes.count > longest { parts.append([]) }
            parts[parts.count - 1] += bytes
        }
        return parts.map { String(decoding: $0, as: UTF8.self) }.joined(separator: "%/")
    }

    private static func escaped(_ scalar: Unicode.Scalar) -> [UInt8] {
        switch scalar {
        case "%": Array("%25".utf8)
        case "/": Array("%2F".utf8)
        default: Array(UTF8.encode(scalar)!)
        }
    }

    /// - Parameter path: below the directory of keys.
    public static func key(at path: String) throws(Refusal) -> Key {
        let parts = path.fileNameBytes.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        guard parts.dropLast().allSatisfy({ $0.last == UInt8(ascii: "%") }) else {
            throw .malformedKey("it is in a directory, and no key's")
        }
        return try Key(percentEncoded: parts.dropLast().flatMap { $0.dropLast() } + parts.last!)
    }

    /// slapproxy's: the key as it is.
    ///
    /// - Parameter name: of the file.
    static func literalKey(_ name: String) throws(Refusal) -> Key {
        guard !name.holdsRawBytes else { throw .malformedKey("the key is not valid UTF-8") }
        return try Key(name)
    }
}
