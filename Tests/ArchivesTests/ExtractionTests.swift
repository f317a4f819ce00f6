import Archives
import Fixtures
import Foundation
import Testing

struct ExtractionTests {
    private let bench: Workbench

    init() throws { bench = try Workbench() }

    @Test(arguments: ["GNU_FORMAT", "PAX_FORMAT"])
    func `we read what Python writes`(_ format: String) throws {
        try bench.python(richTree)
        try bench.python(
            "with tarfile.open('ours.tar.gz', 'w:gz', format=tarfile.\(format)) as archive: archive.add('tree')")
        try bench.extract()
        #expect(try bench.listing("root/tree") == bench.listing("tree"))
        #expect(bench.remains == ["tree"])
    }

    /// Fails without inCLocale.
    @Test func `names stay as they are in every locale`() throws {
        let locale = newlocale(1 << LC_CTYPE, "C.UTF-8", nil)
        let before = uselocale(locale)
        defer {
            uselocale(before)
            freelocale(locale)
        }
        try `we read what Python writes`("PAX_FORMAT")
    }

    @Test func `we read what we write, and count it`() throws {
        try bench.python(richTree)
        let written = try bench.archive("tree")
        let read = try bench.extract()
        #expect(try bench.listing("root/tree") == bench.listing("tree"))
        #expect(read.members == written.members)
        #expect(read.bytes == written.bytes)
    }

    @Test(arguments: ["tar -cf", "tar --sparse -czf", "tar --posix --sparse -czf"])
    func `we read what tar writes, plain and sparse`(_ command: String) throws {
        try bench.python(richTree)
        try bench.python("assert os.system('\(command) ours.tar.gz ./tree') == 0")
        try bench.extract()
        #expect(try bench.listing("root/tree") == bench.listing("tree"))
    }

    @Test func `an archive in two gzip members is read to its end`() throws {
        try bench.python(richTree)
        try bench.python(
            """
            import gzip
            with tarfile.open('plain', 'w') as archive: archive.add('tree')
            data = open('plain', 'rb').read()
            open('ours.tar.gz', 'wb').write(gzip.compress(data[:70000]) + gzip.compress(data[70000:]))
            """)
        try bench.extract()
        #expect(try bench.listing("root/tree") == bench.listing("tree"))
    }

    @Test func `setuid, setgid and sticky bits are dropped`() throws {
        try bench.python(
            "os.mkdir('tree'); open('tree/file', 'w'); os.chmod('tree/file', 0o7755); os.chmod('tree', 0o7755)")
        try bench.archive("tree")
        try bench.extract()
        #expect(
            try bench.python("print(*(oct(os.stat('root/tree' + n).st_mode) for n in ['', '/file']))")
                == "0o40755 0o100755\n")
    }

    @Test(.enabled(if: geteuid() == 0)) func `all of it belongs to the owner that was asked for`() throws {
        try bench.python(richTree)
        try bench.archive("tree")
        try bench.extract(owner: Owner(user: 1234, group: 2345))
        let strangers = try output(
            of: "find", "\(bench.root)/tree", "(", "!", "-uid", "1234", "-o", "!", "-gid", "2345", ")")
        #expect(strangers.isEmpty)
    }

    @Test func `what is there already is not replaced, even if it is empty`() throws {
        try bench.python("os.mkdir('tree'); os.mkdir('root/tree')")
        try bench.archive("tree")
        #expect(throws: ArchiveError.exists("\(bench.root)/tree")) { try bench.extract() }
        #expect(bench.remains == ["tree"])
    }

    /// The first fails without isReplaced, the second without addReplacements.
    @Test(arguments: [nil, "ours"]) func `a replacement stands for whatever the archive has there`(_ text: String?)
        throws
    {
        try bench.python(
            """
            os.makedirs('tree/mark/below')
            os.mkdir('tree/sub')
            for name in 'tree/mark/below/file', 'tree/sub/mark': open(name, 'w').write('theirs')
            """)
        try bench.archive("tree")
        let handle = try FileHandle(forReadingFrom: URL(filePath: bench.path("ours.tar.gz")))
        let replacements = ["mark": text.map { Array($0.utf8) }]
        _ = try ArchiveExtractor(name: "tree", root: bench.root, replacements: replacements)
            .extract(from: handle.fileDescriptor)
        #expect((try? String(contentsOfFile: "\(bench.root)/tree/mark", encoding: .utf8)) == text)
        #expect(try String(contentsOfFile: "\(bench.root)/tree/sub/mark", encoding: .utf8) == "theirs")
        #expect(FileManager.default.fileExists(atPath: "\(bench.root)/tree/mark") == (text != nil))
    }

    /// Fails when the rename replaces what it finds.
    @Test func `what appears meanwhile is not replaced`() throws {
        try bench.python("os.mkdir('tree')")
        try bench.archive("tree")
        let handle = try FileHandle(forReadingFrom: URL(filePath: bench.path("ours.tar.gz")))
        #expect(throws: ArchiveError.exists("tree")) {
            try ArchiveExtractor(name: "tree", root: bench.root).extract(from: handle.fileDescriptor) { _ in
                mkdir("\(bench.root)/tree", 0o755)
            }
        }
        #expect(bench.remains == ["tree"])
    }

    /// Fails when a workspace is removed without a look at its lock, or never.
    @Test func `leftovers of killed extractions go, those of running ones stay`() throws {
        try bench.python(
            """
            for name in ['.tree.0123456789abcdef', '.tree.fedcba9876543210', '.tree.b.0123456789abcdef', '.tree.backup']:
                os.makedirs('root/' + name + '/tree/read-only')
                os.chmod('root/' + name + '/tree/read-only', 0o555)
            os.mkdir('tree')
            """)
        let running = open("\(bench.root)/.tree.fedcba9876543210", O_DIRECTORY)
        #expect(flock(running, LOCK_EX) == 0)
        defer { close(running) }
        try bench.archive("tree")
        try bench.extract()
        #expect(
            bench.remains.sorted() == [".tree.b.0123456789abcdef", ".tree.backup", ".tree.fedcba9876543210", "tree"])
    }

    /// Fails when the workspace isn't locked.
    @Test func `two extractions of one tree don't disturb each other, and one wins`() throws {
        try bench.python("os.mkdir('tree'); open('tree/file', 'w').write('x')")
        try bench.archive("tree")
        var isFirst = true
        let handle = try FileHandle(forReadingFrom: URL(filePath: bench.path("ours.tar.gz")))
        #expect(throws: ArchiveError.exists("tree")) {
            try ArchiveExtractor(name: "tree", root: bench.root).extract(from: handle.fileDescriptor) { _ in
                if isFirst {
                    isFirst = false
                    try bench.extract()
                }
            }
        }
        #expect(bench.remains == ["tree"])
    }

    @Test func `an error of the progress ends the extraction and leaves nothing`() throws {
        struct Cancelled: Error {}
        try bench.python(richTree)
        try bench.archive("tree")
        let handle = try FileHandle(forReadingFrom: URL(filePath: bench.path("ours.tar.gz")))
        #expect(throws: Cancelled.self) {
            try ArchiveExtractor(name: "tree", root: bench.root).extract(from: handle.fileDescriptor) { bytes in
                if bytes > 1 << 20 { throw Cancelled() }
            }
        }
        #expect(bench.remains.isEmpty)
    }

    @Test(.enabled(if: geteuid() == 0)) func `a full disk is said to be full, and has its space back`() throws {
        try bench.python("os.mkdir('tree'); open('tree/file', 'wb').write(os.urandom(4 << 20))")
        try bench.archive("tree")
        _ = try output(of: "mount", "-t", "tmpfs", "-o", "size=1m", "archives-test", bench.root)
        defer { _ = try? output(of: "umount", "--lazy", bench.root) }
        #expect {
            try bench.extract()
        } throws: {
            if case .noSpace? = $0 as? ArchiveError { true } else { false }
        }
        #expect(bench.remains.isEmpty)
    }
}
