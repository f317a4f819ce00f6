import CLinux
import Fixtures
import Foundation
import System
import Testing

struct UncachedFileTests {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    /// In memory, whose file system may have no reads past the cache.
    private static let places = ["/dev/shm", "/var/tmp"]

    private func contents(_ file: UncachedFile, piece: Int = 8192) throws -> [UInt8] {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: piece, alignment: UncachedFile.alignment)
        defer { buffer.deallocate() }
        var bytes: [UInt8] = []
        while case let count = try file.read(at: bytes.count, into: buffer), count > 0 { bytes += buffer[..<count] }
        return bytes
    }

    @Test(arguments: places, [0, 1, 4095, 4096, 8192, 20_001])
    func `all bytes of a file are read`(_ place: String, _ size: Int) throws {
        let path = "\(place)/shacache-test-\(UUID().uuidString)"
        defer { unlink(path) }
        let body = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        try Data(body).write(to: URL(filePath: path))
        #expect(try contents(UncachedFile(path)) == body)
    }

    @Test func `a file that was cut while it is read is an error, not an end`() throws {
        let path = "\(directory.path)/file"
        try Data(count: 20_000).write(to: URL(filePath: path))
        let file = try UncachedFile(path)
        truncate(path, 5000)
        #expect(throws: SystemError.self) { try contents(file) }
    }

    @Test func `a symbolic link isn't followed when that is said`() throws {
        symlink("/etc/passwd", "\(directory.path)/link")
        #expect { _ = try UncachedFile("\(directory.path)/link", flags: O_NOFOLLOW) } throws: {
            ($0 as? SystemError)?.code == ELOOP
        }
    }
}
