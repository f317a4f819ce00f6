import Fixtures
import Glibc
import System
import Testing

@Suite struct DirectoryTests {
    private let directory: TemporaryDirectory

    init() throws { directory = try TemporaryDirectory() }

    private func make(_ name: String) throws {
        _ = try Descriptor("\(directory.path)/\(name)", flags: O_WRONLY | O_CREAT, mode: 0o600)
    }

    @Test func `all names come once, but for those of itself and above`() throws {
        let names = (0..<300).map { "file-\($0)" } + [".hidden"]
        for name in names { try make(name) }
        #expect(try namesInDirectory(directory.path).sorted() == names.sorted())
    }

    @Test func `an item comes with what it is, itself and not what it leads to`() throws {
        try make("file")
        symlink("/nowhere", "\(directory.path)/link")
        mkdir("\(directory.path)/directory", 0o700)
        var kinds: [String: mode_t] = [:]
        try Directory(directory.path).forEachItem { kinds[String(cString: $0)] = $1.kind }
        #expect(kinds == ["file": S_IFREG, "link": S_IFLNK, "directory": S_IFDIR])
    }

    @Test func `what vanishes meanwhile is left out`() throws {
        for number in 0..<3 { try make("\(number)") }
        var met = 0
        try Directory(directory.path).forEachItem { _, _ in
            met += 1
            for number in 0..<3 { unlink("\(directory.path)/\(number)") }
        }
        #expect(met == 1)
    }

    @Test func `a directory is there, or it is not; a link is none`() throws {
        mkdir("\(directory.path)/one", 0o700)
        try make("file")
        symlink("one", "\(directory.path)/link")
        let opened = try Directory(directory.path)
        #expect(try opened.subdirectory("one") != nil)
        for name in ["none", "file", "link"] { #expect(try opened.subdirectory(name) == nil) }
    }
}
