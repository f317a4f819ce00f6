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

    /// - Parameter text: made of hexadecimal digits and the like, so that nothing can be wrong with it.
    init(known text: String) { self.text = text }
}
