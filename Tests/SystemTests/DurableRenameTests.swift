import Fixtures
import Glibc
import System
import Testing

/// O_PATH, which Swift's Glibc module lacks.
private let pathOnly: CInt = 0o10000000

/// What was opened with O_PATH can be looked at and renamed in, but refuses fsync: so each step is made to fail by itself.
@Suite struct DurableRenameTests {
    private let directory: TemporaryDirectory

    init() throws {
        directory = try TemporaryDirectory()
        for name in ["old", "new"] { mkdir("\(directory.path)/\(name)", 0o700) }
        _ = try Descriptor("\(directory.path)/old/file", flags: O_WRONLY | O_CREAT, mode: 0o600)
    }

    private func open(_ name: String, flags: CInt = 0) throws -> Descriptor {
        try Descriptor("\(directory.path)/\(name)", flags: O_RDONLY | flags)
    }

    private func names(in name: String) throws -> [String] { try namesInDirectory("\(directory.path)/\(name)") }

    @Test func `a file moves to its new name`() throws {
        let rename = try DurableRename(from: open("old"), to: open("new"))
        try rename.move("file", to: "moved", file: open("old/file"))
        #expect(try names(in: "old").isEmpty)
        #expect(try names(in: "new") == ["moved"])
    }

    @Test func `a file whose bytes don't reach the disk keeps its old name`() throws {
        let rename = try DurableRename(from: open("old"), to: open("new"))
        let error = #expect(throws: SystemError.self) {
            try rename.move("file", to: "moved", file: open("old/file", flags: pathOnly))
        }
        #expect(error?.isOfSynchronizing == true)
        #expect(try names(in: "old") == ["file"])
        #expect(try names(in: "new").isEmpty)
    }

    @Test(arguments: [("old", "new"), ("new", "old")])
    func `a name that doesn't reach the disk is an error, of either directory`(broken: String, whole: String) throws {
        let old = try open("old", flags: broken == "old" ? pathOnly : 0)
        let new = try open("new", flags: broken == "new" ? pathOnly : 0)
        let rename = try DurableRename(from: old, to: new)
        let error = #expect(throws: SystemError.self) { try rename.moveIfThere("file", to: "moved") }
        #expect(error?.isOfSynchronizing == true)
        #expect(error?.subject == "\(directory.path)/\(broken)")
        #expect(try names(in: "new") == ["moved"])
    }

    @Test func `within one directory, it is written to the disk once`() throws {
        let rename = try DurableRename(from: open("old", flags: pathOnly), to: open("old"))
        #expect(try rename.moveIfThere("file", to: "moved"))
        #expect(try names(in: "old") == ["moved"])
    }

    @Test func `what isn't there is no error, but the directories are written to the disk`() throws {
        let rename = try DurableRename(from: open("old"), to: open("new"))
        #expect(try !rename.moveIfThere("none", to: "moved"))
        let broken = try DurableRename(from: open("old"), to: open("new", flags: pathOnly))
        #expect(throws: SystemError.self) { try broken.moveIfThere("none", to: "moved") }
    }

    @Test func `what has the new name is replaced`() throws {
        _ = try Descriptor("\(directory.path)/new/moved", flags: O_WRONLY | O_CREAT, mode: 0o600)
        let rename = try DurableRename(from: open("old"), to: open("new"))
        let inode = try open("old/file").status().st_ino
        try rename.move("file", to: "moved", file: open("old/file"))
        #expect(try open("new/moved").status().st_ino == inode)
    }
}
