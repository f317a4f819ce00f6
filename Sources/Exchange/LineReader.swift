import ShaCache
import System

/// The lines of a file or a pipe, one after the other: little memory is needed, whatever comes.
final class LineReader {
    private let file: Descriptor
    private var buffer: [UInt8] = []
    /// How many bytes of the buffer are taken.
    private var position = 0
    private var isAtEnd = false

    /// A line's, in bytes: more than any key or URL that can be used.
    private static let limit = 64 << 10

    init(_ file: consuming Descriptor) { self.file = file }

    /// - Returns: without its end; nil behind the last one.
    func next() throws -> [UInt8]? {
        while true {
            if let end = buffer[position...].firstIndex(of: UInt8(ascii: "\n")) {
                defer { position = end + 1 }
                return Array(buffer[position..<end])
            }
            guard !isAtEnd else { return takeRest() }
            guard buffer.count - position < Self.limit else {
                throw UnfitItem("\(file.name): has a line of more than \(Self.limit) bytes")
            }
            try fill()
        }
    }

    private func takeRest() -> [UInt8]? {
        defer { position = buffer.count }
        return position < buffer.count ? Array(buffer[position...]) : nil
    }

    private func fill() throws(SystemError) {
        buffer.removeFirst(position)
        position = 0
        var piece = [UInt8](repeating: 0, count: Self.limit)
        var result: Result<Int, SystemError> = .success(0)
        piece.withUnsafeMutableBytes { buffer in
            result = Result { () throws(SystemError) in try file.readSome(into: buffer) }
        }
        let count = try result.get()
        isAtEnd = count == 0
        buffer += piece.prefix(count)
    }
}
