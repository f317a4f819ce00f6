import Fixtures
import Foundation
import Gzip
import Testing

/// Bytes that don't compress, the same in each run.
func noise(_ count: Int) -> [UInt8] {
    var state: UInt64 = 0x9e37_79b9_7f4a_7c15
    let words = (0...count / 4).map { _ in
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return UInt32(truncatingIfNeeded: state >> 32)
    }
    return words.withUnsafeBytes { Array($0.prefix(count)) }
}

/// The same with zeros between: half of it compresses.
func mixture(_ count: Int) -> [UInt8] {
    var bytes = noise(count)
    for start in stride(from: 0, to: count - 100, by: 200) {
        bytes.replaceSubrange(start..<start + 100, with: repeatElement(0, count: 100))
    }
    return bytes
}

/// - Parameter pieceSize: how many bytes are written at once.
func compressed(_ bytes: [UInt8], threads: Int = 2, level: Int = 6, pieceSize: Int = .max) throws -> [UInt8] {
    var result: [UInt8] = []
    let gzip = try ParallelGzip(threads: threads, level: level) { result += $0 }
    var rest = bytes[...]
    while !rest.isEmpty {
        let piece = rest.prefix(pieceSize)
        try piece.withUnsafeBytes { try gzip.write($0) }
        rest = rest[piece.endIndex...]
    }
    try gzip.finish()
    return result
}

struct ParallelGzipTests {
    private static let blockSize = 512 << 10
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    private func written(_ bytes: [UInt8]) throws -> String {
        let path = "\(directory.path)/member.gz"
        try Data(bytes).write(to: URL(filePath: path))
        return path
    }

    /// RFC 1952. The CRC-32 is the check value that its catalogues give for these digits.
    @Test func `a member has its header, and CRC-32 and length behind the data`() throws {
        let member = try compressed(Array("123456789".utf8))
        #expect(member.prefix(10) == [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3])
        #expect(member.suffix(8) == [0x26, 0x39, 0xf4, 0xcb, 9, 0, 0, 0])
    }

    @Test func `nothing is a member too`() throws {
        let member = try compressed([])
        #expect(member == [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0])
        #expect(try output(of: "gzip", "-dc", written(member)).isEmpty)
    }

    @Test(arguments: [1, blockSize - 1, blockSize, blockSize + 1, 2 * blockSize, 5 * blockSize + 7])
    func `several blocks are one member, which gzip and zlib read`(_ count: Int) throws {
        let bytes = mixture(count)
        let path = try written(compressed(bytes))
        #expect(try Array(output(of: "gzip", "-dc", path)) == bytes)
        let script = """
            import sys, zlib
            member = zlib.decompressobj(31)
            count = len(member.decompress(open(sys.argv[1], "rb").read()))
            print(count, member.eof, len(member.unused_data))
            """
        let words = try output(of: "python3", "-c", script, path)
        #expect(String(decoding: words, as: UTF8.self) == "\(count) True 0\n")
    }

    @Test func `what comes out depends neither on the threads nor on the pieces`() throws {
        let bytes = mixture(3 * Self.blockSize + 5)
        let member = try compressed(bytes)
        for threads in [1, 3, 8] { #expect(try compressed(bytes, threads: threads) == member) }
        for size in [1000, Self.blockSize] { #expect(try compressed(bytes, pieceSize: size) == member) }
    }

    @Test func `a block refers to the one before`() throws {
        let page = noise(30_000)
        let bytes = Array(repeatElement(page, count: 60).joined())
        let member = try compressed(bytes)
        #expect(bytes.count > 3 * Self.blockSize && member.count < 2 * page.count)
        #expect(try Array(output(of: "gzip", "-dc", written(member))) == bytes)
    }

    @Test func `a higher level makes it smaller, and none stores it`() throws {
        let bytes = Array((0..<20_000).map { "line \($0 * 7919 % 1000)\n" }.joined().utf8)
        let sizes = try [0, 1, 9].map { try compressed(bytes, level: $0).count }
        #expect(sizes[0] > bytes.count && bytes.count > sizes[1] && sizes[1] > sizes[2], "\(sizes)")
    }

    @Test func `what the receiver throws comes out, and the threads end`() throws {
        struct Full: Error {}
        var room = 3
        let gzip = try ParallelGzip(threads: 2, level: 1) { _ in
            room -= 1
            if room == 0 { throw Full() }
        }
        let bytes = noise(10 * Self.blockSize)
        #expect(throws: Full.self) { try bytes.withUnsafeBytes { try gzip.write($0) } }
    }
}
