import Glibc

/// The lines of bytes that come a piece at a time. What is in memory is no more than a piece and the beginning of a line.
public struct LineBuffer {
    private var bytes: [UInt8] = []
    /// Of the next line.
    private var start = 0
    /// From there on; so many bytes are known to hold no newline.
    private var searched = 0

    public init() {}

    public mutating func append(_ piece: UnsafeRawBufferPointer) {
        bytes.removeFirst(start)
        start = 0
        bytes.append(contentsOf: piece)
    }

    /// - Returns: the next line, without its newline; nil: it hasn't come yet.
    public mutating func next() -> ArraySlice<UInt8>? {
        // memchr(3): all of a log or a journal goes through it.
        let length: Int? = bytes.withUnsafeBytes { bytes in
            let rest = UnsafeRawBufferPointer(rebasing: bytes[(start + searched)...])
            guard let base = rest.baseAddress, let end = memchr(base, CInt(UInt8(ascii: "\n")), rest.count) else {
                return nil
            }
            return UnsafeRawPointer(end) - base + searched
        }
        guard let length else {
            searched = bytes.count - start
            return nil
        }
        defer { (start, searched) = (start + length + 1, 0) }
        return bytes[start..<start + length]
    }

    /// How many bytes `removeRest` would take.
    public var restCount: Int { bytes.count - start }

    /// Takes what no newline has come behind.
    @discardableResult
    public mutating func removeRest() -> ArraySlice<UInt8> {
        defer { (start, searched) = (bytes.count, 0) }
        return bytes[start...]
    }
}
