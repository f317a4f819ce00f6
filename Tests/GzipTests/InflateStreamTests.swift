import Gzip
import Testing

/// What came out of some bytes, and whether they may end there.
private struct Inflated: Equatable {
    var text = ""
    var isBetweenMembers = false
    var isBeginningAnother = false
}

/// - Parameter pieceSize: how many bytes are fed at once.
private func inflated(_ bytes: [UInt8], pieceSize: Int = .max) throws -> Inflated {
    var stream = InflateStream()
    var (result, rest): ([UInt8], ArraySlice<UInt8>) = ([], bytes[...])
    // Smaller than what comes out of most.
    var output = [UInt8](repeating: 0, count: 16)
    while !rest.isEmpty {
        let piece = Array(rest.prefix(pieceSize))
        rest = rest.dropFirst(piece.count)
        try piece.withUnsafeBytes { input in
            stream.feed(input)
            var count = 0
            repeat {
                count = try output.withUnsafeMutableBytes { try stream.inflate(into: $0) }
                result += output[..<count]
            } while count > 0 || !stream.needsInput
        }
    }
    return Inflated(
        text: String(decoding: result, as: UTF8.self), isBetweenMembers: stream.isBetweenMembers,
        isBeginningAnother: stream.isBeginningAnother)
}

struct InflateStreamTests {
    private let text = (0..<100).map { "\($0 * $0) " }.joined()
    private let member: [UInt8]

    init() throws { member = try compressed(Array(text.utf8)) }

    @Test(arguments: [1, 7, .max]) func `a member comes out whole, however it comes in`(_ pieceSize: Int) throws {
        #expect(try inflated(member, pieceSize: pieceSize) == Inflated(text: text, isBetweenMembers: true))
    }

    @Test(arguments: [1, 7, .max]) func `members follow one another`(_ pieceSize: Int) throws {
        let empty = try compressed([])
        #expect(
            try inflated(member + empty + member, pieceSize: pieceSize)
                == Inflated(text: text + text, isBetweenMembers: true))
    }

    @Test(arguments: [1, 7, .max]) func `zeros behind a member count for nothing`(_ pieceSize: Int) throws {
        let zeros = [UInt8](repeating: 0, count: 1000)
        #expect(try inflated(member + zeros, pieceSize: pieceSize) == Inflated(text: text, isBetweenMembers: true))
        #expect(try inflated(member + zeros + member, pieceSize: pieceSize).text == text + text)
    }

    @Test func `a member that is cut may not end there`() throws {
        for count in 1..<member.count { #expect(try !inflated(Array(member[..<count])).isBetweenMembers, "\(count)") }
    }

    @Test func `the beginning of another member is seen as one`() throws {
        #expect(try inflated(member + member.prefix(5)) == Inflated(text: text, isBeginningAnother: true))
        #expect(try !inflated(member + member.prefix(member.count / 2)).isBeginningAnother)
    }

    @Test func `each bit of CRC-32 and length counts`() throws {
        for byte in member.indices.suffix(8) {
            for bit in 0..<8 {
                var damaged = member
                damaged[byte] ^= 1 << bit
                #expect(throws: GzipError.self) { try inflated(damaged) }
            }
        }
    }

    @Test(arguments: [
        // A text, zlib's own format, raw deflate.
        Array("no gzip".utf8), [0x78, 0x9c, 3, 0, 0, 0, 0, 1], [3, 0],
    ])
    func `what is no gzip is an error, behind a member too`(_ bytes: [UInt8]) {
        #expect(throws: GzipError.self) { try inflated(bytes) }
        #expect(throws: GzipError.self) { try inflated(member + bytes) }
    }
}
