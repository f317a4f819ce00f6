import Glibc

/// The complete lines of a log, from a position on. What follows the last newline is not a line yet.
struct LogLineReader: ~Copyable {
    /// nginx takes a request's head of 32 KiB, and escaping makes six bytes of one. What is longer wasn't written by it.
    static let lengthLimit = 1 << 20

    private let content: LogContent
    private var buffer: [UInt8] = []
    private var start = 0
    /// In bytes of text: behind the last line that was read.
    private(set) var position: Int

    init(descriptor: CInt, from position: Int) {
        content = LogContent(descriptor: descriptor, from: position)
        self.position = position
    }

    var isAtGzipsEnd: Bool { content.isAtGzipsEnd }

    /// - Returns: the next line, without its newline; an empty one in place of one that is too long; nil at the end.
    mutating func next() throws(LogError) -> [UInt8]? {
        var dropped = 0
        var searched = 0
        while true {
            if let length = lineLength(from: searched) {
                defer {
                    start += length + 1
                    position += dropped + length + 1
                }
                return dropped > 0 ? [] : Array(buffer[start..<start + length])
            }
            searched = buffer.count - start
            if searched > Self.lengthLimit {
                dropped += searched
                start = buffer.count
                searched = 0
            }
            guard try fill() else { return nil }
        }
    }

    /// - Parameter searched: so many bytes are known to hold no newline.
    private func lineLength(from searched: Int) -> Int? {
        buffer.withUnsafeBytes { bytes in
            let rest = UnsafeRawBufferPointer(rebasing: bytes[(start + searched)...])
            guard let base = rest.baseAddress, let end = memchr(base, CInt(UInt8(ascii: "\n")), rest.count) else {
                return nil
            }
            return UnsafeRawPointer(end) - base + searched
        }
    }

    private mutating func fill() throws(LogError) -> Bool {
        let bytes = try content.next()
        buffer.removeSubrange(..<start)
        start = 0
        buffer.append(contentsOf: bytes)
        return !bytes.isEmpty
    }
}
