import ShaCache
import System

/// The lines of a file or a pipe, one after the other: little memory is needed, whatever comes.
final class LineReader {
    private let file: Descriptor
    private var lines = LineBuffer()
    private var isAtEnd = false

    /// A line's, in bytes: more than any key or URL that can be used.
    private static let limit = 64 << 10

    init(_ file: consuming Descriptor) { self.file = file }

    /// - Returns: without its end; nil behind the last one.
    func next() throws -> [UInt8]? {
        while true {
            if let line = lines.next() { return Array(line) }
            guard !isAtEnd else { return lines.restCount > 0 ? Array(lines.removeRest()) : nil }
            guard lines.restCount < Self.limit else {
                throw UnfitItem("\(file.name): has a line of more than \(Self.limit) bytes")
            }
            try fill()
        }
    }

    private func fill() throws(SystemError) {
        var piece = [UInt8](repeating: 0, count: Self.limit)
        var result: Result<Int, SystemError> = .success(0)
        piece.withUnsafeMutableBytes { buffer in
            result = Result { () throws(SystemError) in try file.readSome(into: buffer) }
        }
        let count = try result.get()
        isAtEnd = count == 0
        piece.withUnsafeBytes { lines.append(UnsafeRawBufferPointer(rebasing: $0.prefix(count))) }
    }
}
