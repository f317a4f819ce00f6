import Glibc

/// File names are bytes, and Swift's texts are Unicode: bytes of a name that are no UTF-8 are escaped as the last
/// scalars there are, U+10FF80 to U+10FFFF, one for each byte, as Python's `surrogateescape` does. Of a name that
/// holds those scalars itself the bytes are escaped too, so every name comes back as it was.
extension String {
    /// - Parameter bytes: of a name, as the system gave it.
    public init(fileName bytes: [UInt8]) {
        if let text = String(validating: bytes, as: UTF8.self), !text.holdsRawBytes {
            self = text
        } else {
            self = Self.escaping(bytes)
        }
    }

    public init(fileName text: UnsafePointer<CChar>) {
        self.init(fileName: Array(UnsafeRawBufferPointer(start: text, count: strlen(text))))
    }

    private static func escaping(_ bytes: [UInt8]) -> String {
        var text = UnicodeScalarView()
        var parser = Unicode.UTF8.ForwardParser()
        var rest = bytes.makeIterator()
        var position = 0
        while true {
            let (count, scalar) =
                switch parser.parseScalar(from: &rest) {
                case .emptyInput: (0, Unicode.Scalar?.none)
                case .error(let length): (length, nil)
                case .valid(let encoded): (encoded.count, Unicode.UTF8.decode(encoded))
                }
            guard count > 0 else { return String(text) }
            if let scalar, scalar.rawByte == nil {
                text.append(scalar)
            } else {
                text.append(contentsOf: bytes[position..<(position + count)].map(Unicode.Scalar.init(rawByte:)))
            }
            position += count
        }
    }

    /// The name's bytes, as the system wants them.
    public var fileNameBytes: [UInt8] {
        guard holdsRawBytes else { return Array(utf8) }
        return unicodeScalars.flatMap { scalar in scalar.rawByte.map { [$0] } ?? Array(String(scalar).utf8) }
    }

    /// Calls `body` with the name as C has it: every path goes to the system through here.
    public func withFileName<Result, Failure>(
        _ body: (UnsafePointer<CChar>) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try body(fileNameBytes.map { CChar(bitPattern: $0) } + [0])
    }

    /// Whether it is the name of a file only, and no text that others can read.
    public var holdsRawBytes: Bool {
        // Asked of every path: few hold anything from the end of Unicode.
        utf8.contains(0xF4) && unicodeScalars.contains { $0.rawByte != nil }
    }

    /// For people, and where only text is allowed: a byte that is no UTF-8 as `\xE9`.
    public var shownFileName: String { spellingRawBytes { "\\x\($0)" } }

    /// For URLs and for metadata, which other programs take for a name again: such a byte as `%E9`.
    public var percentFileName: String { spellingRawBytes { "%\($0)" } }

    private func spellingRawBytes(_ spelling: (_ digits: String) -> String) -> String {
        guard holdsRawBytes else { return self }
        return unicodeScalars.reduce(into: "") { text, scalar in
            if let byte = scalar.rawByte {
                text += spelling(String(byte, radix: 16, uppercase: true))
            } else {
                text.unicodeScalars.append(scalar)
            }
        }
    }

    /// Its part behind the last slash; all of it without one. By bytes: to Swift, a slash and an accent behind it are
    /// one character.
    public var lastPathComponent: String {
        guard let slash = utf8.lastIndex(of: UInt8(ascii: "/")) else { return self }
        return String(Substring(utf8[utf8.index(after: slash)...]))
    }

    /// Up to its last slash, and with it; empty without one.
    public var directoryPrefix: String {
        guard let slash = utf8.lastIndex(of: UInt8(ascii: "/")) else { return "" }
        return String(Substring(utf8[...slash]))
    }

    /// The directory that it is in, for the system.
    public var parentDirectory: String { directoryPrefix.isEmpty ? "." : directoryPrefix }
}

extension Unicode.Scalar {
    private static let firstEscape: UInt32 = 0x10FF00

    /// - Parameter byte: from 0x80 on; all below are characters.
    fileprivate init(rawByte byte: UInt8) { self.init(Self.firstEscape + UInt32(byte))! }

    /// The byte that it escapes in a name; nil when it is itself.
    public var rawByte: UInt8? { value >= Self.firstEscape + 0x80 ? UInt8(value - Self.firstEscape) : nil }
}
