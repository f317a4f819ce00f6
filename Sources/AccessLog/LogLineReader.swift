import Glibc
import Gzip
import System

/// The complete lines of a log, from a position on. What follows the last newline is not a line yet.
struct LogLineReader: ~Copyable {
    /// nginx takes a request's head of 32 KiB, and escaping makes six bytes of one. What is longer wasn't written by it.
    static let lengthLimit = 1 << 20

    private let content: LogContent
    private var lines = LineBuffer()
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
        while true {
            if let line = lines.next() {
                position += dropped + line.count + 1
                return dropped > 0 ? [] : Array(line)
            }
            if lines.restCount > Self.lengthLimit { dropped += lines.removeRest().count }
            guard try fill() else { return nil }
        }
    }

    private mutating func fill() throws(LogError) -> Bool {
        let bytes = try content.next()
        lines.append(bytes)
        return !bytes.isEmpty
    }
}

/// The text of a log from a position on, out of a file that has it plain or in gzip.
final class LogContent {
    private let descriptor: CInt
    /// In the file.
    private var offset: Int
    /// In the text, and not yet skipped.
    private var ahead: Int
    private var stream = InflateStream()
    private let isGzip: Bool
    private let input = UnsafeMutableRawBufferPointer.allocate(byteCount: 128 << 10, alignment: 4096)
    private let output = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 << 10, alignment: 4096)

    /// - Parameter descriptor: stays open as long as this is in use. Its own position is left alone.
    init(descriptor: CInt, from position: Int) {
        self.descriptor = descriptor
        var magic = [UInt8](repeating: 0, count: 2)
        isGzip = pread(descriptor, &magic, magic.count, 0) == 2 && magic == [0x1f, 0x8b]
        offset = isGzip ? 0 : position
        ahead = isGzip ? position : 0
    }

    deinit {
        input.deallocate()
        output.deallocate()
    }

    /// Whether all of a gzip file was read, which is complete then. A file in plain text may still grow.
    var isAtGzipsEnd: Bool { isGzip && stream.isBetweenMembers }

    /// - Returns: what is good until the next call; nothing at the end, or where the rest of the gzip isn't written yet.
    func next() throws(LogError) -> UnsafeRawBufferPointer {
        while true {
            let bytes = isGzip ? try inflated() : try read()
            guard !bytes.isEmpty, bytes.count <= ahead else {
                defer { ahead = 0 }
                return UnsafeRawBufferPointer(rebasing: bytes.dropFirst(ahead))
            }
            ahead -= bytes.count
        }
    }

    private func inflated() throws(LogError) -> UnsafeRawBufferPointer {
        while true {
            if stream.needsInput {
                let more = try read()
                guard !more.isEmpty else { return more }
                stream.feed(more)
            }
            let count: Int
            do {
                count = try stream.inflate(into: output)
            } catch {
                throw LogError(description: error.description)
            }
            if count > 0 { return UnsafeRawBufferPointer(rebasing: output[..<count]) }
        }
    }

    private func read() throws(LogError) -> UnsafeRawBufferPointer {
        let count = try asLogError(
            try systemCall("read") { pread(descriptor, input.baseAddress, input.count, offset) })
        offset += count
        return UnsafeRawBufferPointer(rebasing: input[..<count])
    }
}
