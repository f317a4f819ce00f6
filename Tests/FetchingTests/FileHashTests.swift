import Fixtures
import Foundation
import ShaCache
import Storage
import Testing

@testable import Fetching

@Suite(.timeLimit(.minutes(15))) struct FileHashTests {
    private let store: TestStore
    private let pool: HashingPool

    init() throws {
        store = try TestStore()
        pool = try HashingPool()
    }

    private static let megabyte = 1 << 20

    private func digest(of bytes: [UInt8]) -> Digest {
        Digest { offset, buffer in
            let piece = bytes[offset...].prefix(buffer.count)
            buffer.copyBytes(from: piece)
            return piece.count
        }
    }

    private func made(_ size: Int) -> [UInt8] {
        var generator = SystemRandomNumberGenerator()
        return (0..<size).map { _ in UInt8.random(in: 0...255, using: &generator) }
    }

    /// - Parameter source: of its own for each file.
    private func makeFile(from source: String) throws -> FetchedFile {
        FetchedFile(try SpooledBody(of: Digest(bytes: [UInt8](repeating: 1, count: 64)), from: source, in: store.files))
    }

    /// Whatever is hashed by the thread that writes, and whatever by the pool's.
    @Test(arguments: [0, 1, 1000, megabyte, megabyte + 1, 3 * megabyte + 7], [1 << 14, 700_001])
    func `a file that grows has the hash of its bytes`(size: Int, piece: Int) throws {
        let (bytes, file) = (made(size), try makeFile(from: "grows-\(size)-\(piece)"))
        let hash = FileHash(of: file, written: 0, in: pool)
        for (number, start) in stride(from: 0, to: size, by: piece).enumerated() {
            try bytes[start..<min(start + piece, size)].withUnsafeBytes {
                try file.body.append($0)
                hash.update($0)
            }
            if number % 3 == 0 { hash.advance() }
        }
        #expect(try hash.finish() == digest(of: bytes))
    }

    @Test(arguments: [1, 1000, 2 * megabyte]) func `what was there before counts`(before: Int) throws {
        let (bytes, file) = (made(before + 5000), try makeFile(from: "before-\(before)"))
        try bytes[..<before].withUnsafeBytes { try file.body.append($0) }
        let hash = FileHash(of: file, written: before, in: pool)
        try bytes[before...].withUnsafeBytes {
            try file.body.append($0)
            hash.update($0)
        }
        #expect(try hash.finish() == digest(of: bytes))
    }

    @Test func `many files at once have each its own`() throws {
        let files = try (0..<20).map { (made(Self.megabyte * 2 + $0), try makeFile(from: "many-\($0)")) }
        let hashes = try files.map { bytes, file in
            let hash = FileHash(of: file, written: 0, in: pool)
            for half in [bytes[..<(bytes.count / 2)], bytes[(bytes.count / 2)...]] {
                try half.withUnsafeBytes {
                    try file.body.append($0)
                    hash.update($0)
                }
                hash.advance()
            }
            return hash
        }
        for ((bytes, _), hash) in zip(files, hashes) { #expect(try hash.finish() == digest(of: bytes)) }
    }

    @Test func `a file that somebody else shortens has none`() throws {
        let file = try makeFile(from: "cut")
        try made(100).withUnsafeBytes { try file.body.append($0) }
        let hash = FileHash(of: file, written: 200, in: pool)
        #expect(throws: CutFile.self) { try hash.finish() }
    }
}
