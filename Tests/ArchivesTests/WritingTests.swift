import Archives
import Fixtures
import Foundation
import Testing

struct WritingTests {
    private let bench: Workbench

    init() throws { bench = try Workbench() }

    @Test(arguments: ["r:gz", "r|gz"])
    func `Python reads what we write`(_ mode: String) throws {
        try bench.python(richTree)
        try bench.archive("tree")
        try bench.python("tarfile.open('ours.tar.gz', '\(mode)').extractall('root', numeric_owner=True)")
        #expect(try bench.listing("root/tree") == bench.listing("tree"))
    }

    @Test func `gzip and tar find nothing wrong`() throws {
        try bench.python(richTree)
        let summary = try bench.archive("tree")
        #expect(try output(of: "gzip", "-t", bench.path("ours.tar.gz")).isEmpty)
        let names = try output(of: "tar", "tzf", bench.path("ours.tar.gz")).split(separator: UInt8(ascii: "\n"))
        #expect(names.count == summary.members)
        #expect(names.first == Data("tree/".utf8))
    }

    /// Fails when blocks are joined in the order in which they are done, or when a second member is begun.
    @Test func `the bytes depend neither on threads nor on where and when the tree was copied`() throws {
        try bench.python(richTree)
        _ = try output(of: "cp", "-a", bench.path("tree"), bench.path("copy"))
        try bench.archive("tree", to: "one", threads: 1)
        try bench.archive("copy", to: "four", threads: 4)
        _ = try output(of: "cmp", bench.path("one"), bench.path("four"))
    }

    @Test func `an empty directory is an archive, too`() throws {
        try bench.python("os.mkdir('tree')")
        #expect(try bench.archive("tree").members == 1)
        #expect(try bench.python("print(tarfile.open('ours.tar.gz').getnames())") == "['tree']\n")
    }

    /// Around the sizes of a block and of the ring of blocks, where an end is easily lost.
    @Test(arguments: [1, (512 << 10) - 2048, 512 << 10, 3 << 20])
    func `no byte is lost where blocks meet`(_ size: Int) throws {
        try bench.python("os.mkdir('tree'); open('tree/file', 'wb').write(os.urandom(int(sys.argv[2])))", "\(size)")
        #expect(try bench.archive("tree").bytes == size)
        try bench.extract()
        #expect(try bench.listing("root/tree") == bench.listing("tree"))
    }

    /// Fails when freeing a half-made archive ends it as if it were complete.
    @Test func `an error of the sink ends the writing and is thrown on`() throws {
        struct Full: Error {}
        try bench.python("os.mkdir('tree'); open('tree/file', 'wb').write(os.urandom(20 << 20))")
        let archive = DirectoryArchive(directory: bench.path("tree"), name: "tree", location: "/tree")
        var (taken, failures) = (0, 0)
        #expect(throws: Full.self) {
            try archive.write(threads: 3) { bytes in
                taken += bytes.count
                guard taken > 1 << 20 else { return }
                failures += 1
                throw Full()
            }
        }
        #expect(failures == 1)
    }

    @Test func `an error of the progress ends the writing and is thrown on`() throws {
        struct Cancelled: Error {}
        try bench.python("os.mkdir('tree'); open('tree/file', 'wb').write(b'x')")
        #expect(throws: Cancelled.self) {
            try DirectoryArchive(directory: bench.path("tree"), name: "tree", location: "/tree").write(
                threads: 1, progress: { _ in throw Cancelled() }, to: { _ in })
        }
    }

    @Test(arguments: [(-5, "shrank while it was read"), (5, "grew while it was read")])
    func `a file that changes while it is read is an error, not a damaged archive`(_ change: Int, _ how: String) throws
    {
        try bench.python("os.mkdir('tree'); open('tree/file', 'wb').write(bytes(1 << 20))")
        let file = bench.path("tree/file")
        #expect(throws: ArchiveError.changed(path: file, how: how)) {
            try DirectoryArchive(directory: bench.path("tree"), name: "tree", location: "/tree").write(
                threads: 1, progress: { _ in truncate(file, off_t(1 << 20 + change)) }, to: { _ in })
        }
    }

    @Test func `sockets, FIFOs and devices are left out, with a note`() throws {
        try bench.python(
            """
            import socket
            os.mkdir('tree')
            os.chdir('tree')
            socket.socket(socket.AF_UNIX).bind('socket')
            os.mkfifo('fifo')
            """)
        let summary = try bench.archive("tree")
        #expect(summary.leftOut.map(\.member) == ["tree/fifo", "tree/socket"])
        #expect(summary.leftOut.map(\.reason) == ["is a FIFO", "is a socket"])
        #expect(try bench.extract().members == 1)
    }

    /// The note and the refusal come of the same judgement; this fails when one of them goes its own way.
    @Test func `links that the extractor will refuse are noted`() throws {
        try bench.python(
            """
            os.makedirs('tree/directory/below')
            os.chdir('tree')
            os.symlink('../../etc', 'directory/outside')
            os.symlink('/etc/passwd', 'absolute')
            os.symlink('/place/tree/directory', 'at home')
            os.symlink('directory/below', 'short')
            os.symlink('short/../../x', 'honest')
            os.symlink('short/../../../x', 'dishonest')
            """)
        let noted = try bench.archive("tree", location: "/place/tree").leavingLinks
        #expect(noted.map(\.member) == ["tree/absolute", "tree/directory/outside", "tree/dishonest"])
        #expect(noted.map(\.target) == ["/etc/passwd", "../../etc", "short/../../../x"])
    }

    /// As what Python's filter `data` takes, which is the default from 3.14 on. Fails without `setTarget`.
    @Test func `absolute links into the tree become relative ones to the same place`() throws {
        try bench.python(
            """
            os.makedirs('tree/directory/below')
            os.chdir('tree')
            open('directory/file', 'w').close()
            os.symlink('/place/tree/directory/file', 'directory/below/file')
            os.symlink('/place/tree', 'directory/below/top')
            os.symlink('/place//tree/./directory', 'directory from the top')
            os.symlink('/place/tree/', 'itself')
            os.symlink('/place/tree/directory/../directory/file', 'up and down')
            os.symlink('/place/tree/nowhere', 'dangling')
            os.symlink('directory/file', 'relative')
            os.symlink('/place/trees', 'leading out')
            """)
        try bench.archive("tree", location: "/place/tree", makesLinksRelative: true)
        let links = try bench.python(
            """
            for member in sorted(tarfile.open('ours.tar.gz'), key=lambda member: member.name):
                if member.issym(): print(member.name.removeprefix('tree/'), '->', member.linkname)
            """)
        #expect(
            links == """
                dangling -> nowhere
                directory from the top -> directory
                directory/below/file -> ../../directory/file
                directory/below/top -> ../..
                itself -> .
                leading out -> /place/trees
                relative -> directory/file
                up and down -> directory/../directory/file

                """)
    }

    @Test func `a directory that isn't there is an error that names it`() throws {
        let path = bench.path("tree")
        #expect(throws: ArchiveError.system("open \(path): no such file or directory")) {
            try bench.archive("tree")
        }
    }
}
