import Fixtures
import Glibc
import System
import Testing

@Suite struct DescriptorTests {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    private var path: String { "\(directory.path)/file" }

    private static let bytes = (0..<300_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }

    private func newFile() throws -> Descriptor {
        try Descriptor(path, flags: O_RDWR | O_CREAT | O_EXCL, mode: 0o600)
    }

    private final class Pipe: Sendable {
        let reader: Descriptor
        let writer: Descriptor

        init() throws {
            var ends: [CInt] = [0, 0]
            try systemCall("make a pipe") { pipe(&ends) }
            reader = Descriptor(owning: ends[0], named: "a pipe")
            writer = Descriptor(owning: ends[1], named: "a pipe")
        }
    }

    // A pipe holds 64 KiB: neither side gets all of it by one call.
    @Test func `what is longer than a pipe is written and read whole`() throws {
        let pipe = try Pipe()
        let writing = try Background { try Self.bytes.withUnsafeBytes { try pipe.writer.writeAll($0) } }
        var read = [UInt8](repeating: 0, count: Self.bytes.count)
        #expect(try read.withUnsafeMutableBytes { try pipe.reader.readAll(into: $0) } == read.count)
        #expect(read == Self.bytes)
        try writing.value()
    }

    @Test func `reading ends early only at the end`() throws {
        let file = try newFile()
        try Array("abc".utf8).withUnsafeBytes { try file.writeAll($0, at: 0) }
        var read = [UInt8](repeating: 0, count: 10)
        #expect(try read.withUnsafeMutableBytes { try file.readAll(into: $0) } == 3)
        #expect(read.prefix(3) == Array("abc".utf8)[...])
    }

    @Test func `a signal interrupts neither reading nor a call that a signal ends`() throws {
        var action = sigaction()
        action.__sigaction_handler.sa_handler = { _ in }
        // Without SA_RESTART, the kernel gives up what waits.
        sigaction(SIGUSR1, &action, nil)
        let pipe = try Pipe()
        let thread = pthread_self()
        let signals = try Background {
            for _ in 0..<20 {
                pthread_kill(thread, SIGUSR1)
                usleep(500)
            }
            try Array("x".utf8).withUnsafeBytes { try pipe.writer.writeAll($0) }
        }
        #expect(
            try withUnsafeTemporaryAllocation(byteCount: 1, alignment: 1) { try pipe.reader.readSome(into: $0) } == 1)
        try signals.value()
    }

    @Test func `bytes lie where they were written, with a hole before them`() throws {
        let file = try newFile()
        try Array("end".utf8).withUnsafeBytes { try file.writeAll($0, at: 5) }
        #expect(try file.size() == 8)
        #expect(try file.contents() == [0, 0, 0, 0, 0] + Array("end".utf8))
        #expect(try contentsOfFile(path) == [0, 0, 0, 0, 0] + Array("end".utf8))
    }

    @Test func `contents are all there is, whatever the size says`() throws {
        #expect(try String(decoding: contentsOfFile("/proc/self/status"), as: UTF8.self).contains("VmSize"))
        let file = try newFile()
        try Self.bytes.withUnsafeBytes { try file.writeAll($0) }
        file.rewind()
        #expect(try file.contents() == Self.bytes)
        var pieces: [UInt8] = []
        file.rewind()
        try file.forEachPiece { pieces += $0 }
        #expect(pieces == Self.bytes)
    }

    @Test func `an error names the operation, the subject and the reason`() throws {
        let error = #expect(throws: SystemError.self) { _ = try Descriptor("\(directory.path)/none") }
        #expect(error == SystemError("open", "\(directory.path)/none", errno: ENOENT))
        #expect(error?.description == "\(directory.path)/none: no such file or directory")
        #expect(error?.descriptionWithOperation == "open \(directory.path)/none: no such file or directory")
        let hidden = #expect(throws: SystemError.self) { _ = try Descriptor("/none", named: "the spool") }
        #expect(hidden?.descriptionWithOperation == "open the spool: no such file or directory")
        let unnamed = #expect(throws: SystemError.self) { _ = try Descriptor("") }
        #expect(unnamed?.description == "the name of the file is empty: no such file or directory")
    }

    @Test func `it is closed when its owner ends, and not inherited`() throws {
        let number = try { () throws in
            let file = try newFile()
            #expect(fcntl(file.number, F_GETFD) & FD_CLOEXEC != 0)
            return file.number
        }()
        #expect(fcntl(number, F_GETFD) == -1 && errno == EBADF)
    }

    @Test func `a name that is no UTF-8 leads to its file`() throws {
        let name = "\(directory.path)/" + String(fileName: [0x63, 0xE9])
        try Descriptor(name, flags: O_WRONLY | O_CREAT, mode: 0o600).synchronize()
        #expect(try namesInDirectory(directory.path).map(\.fileNameBytes) == [[0x63, 0xE9]])
    }

    @Test func `a temporary file has no name`() throws {
        let file = try Descriptor.temporary(in: directory.path)
        try Self.bytes.withUnsafeBytes { try file.writeAll($0) }
        #expect(try file.size() == Self.bytes.count)
        #expect(try namesInDirectory(directory.path).isEmpty)
    }
}
