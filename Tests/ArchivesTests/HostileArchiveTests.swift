import Archives
import Fixtures
import Foundation
import Testing

/// What an archive could do to us, and doesn't.
struct HostileArchiveTests {
    private let bench: Workbench

    init() throws { bench = try Workbench() }

    /// Python that adds members to a tar: `directory`, `file`, `link` and `hard`, and `member` for all else.
    private static let kit = """
        archive = tarfile.open('ours.tar.gz', 'w:gz')
        def member(name, type, target='', data=b''):
            info = tarfile.TarInfo(name)
            info.type, info.linkname, info.size, info.mode = type, target, len(data), 0o755
            archive.addfile(info, io.BytesIO(data))
        def directory(name): member(name, tarfile.DIRTYPE)
        def file(name): member(name, tarfile.REGTYPE, data=b'pwned')
        def link(name, target): member(name, tarfile.SYMTYPE, target)
        def hard(name, target): member(name, tarfile.LNKTYPE, target)
        home = os.getcwd()

        """

    private func write(_ members: String) throws {
        try bench.python(Self.kit + members + "\narchive.close()\nopen('outside', 'w').write('safe')\n")
    }

    @Test(arguments: [
        ("file(home + '/root/tree/x')", "absolute path"),
        ("file('tree/../x')", "goes up"),
        ("file('../x')", "goes up"),
        ("directory('tree/..')", "goes up"),
        ("file('x')", "not below tree/"),
        ("file('treex/y')", "not below tree/"),
        ("file('.')", "not below tree/"),
        ("file('tree')", "is no directory"),
        ("link('tree', '/')", "is no directory"),
        ("link('tree/a', '../x')", "out of the tree"),
        ("link('tree/a', '/etc/passwd')", "out of the tree"),
        ("link('tree/a', home + '/root/tree/../x')", "out of the tree"),
        ("link('tree/a', home + '/root/treex')", "out of the tree"),
        // Each looks harmless beside the other.
        ("directory('tree/b/c'); link('tree/a', 'b/c'); link('tree/d', 'a/../../../x')", "out of the tree"),
        ("link('tree/b/c/up', '../..'); link('tree/d', 'b/c/up/../x')", "out of the tree"),
        (
            "link('tree/z', 'y/..'); directory('tree/w/v'); link('tree/y', 'w'); link('tree/x', 'z/../x')",
            "out of the tree"
        ),
        ("link('tree/a/b', 'b/../../../x')", "out of the tree"),
        // To the kernel a circle leads nowhere; a program that gives it up and goes by the text gets out here.
        ("link('tree/loop', 'loop'); link('tree/p/c', '../loop'); link('tree/d', 'p/c/../../x')", "out of the tree"),
        ("link('tree/a', 'a/..')", "out of the tree"),
        // Through a link.
        ("link('tree/a', '.'); file('tree/a/x')", "name of another member"),
        ("link('tree/a', home); file('tree/a/outside')", "name of another member"),
        ("link('tree/a', home); link('tree/a/x', 'y')", "name of another member"),
        ("link('tree/a', home + '/outside'); file('tree/a')", "name of another member"),
        ("file('tree/a'); link('tree/a', home + '/outside'); file('tree/a')", "name of another member"),
        ("directory('tree/a'); link('tree/a', home)", "name of another member"),
        ("link('tree/a', home); directory('tree/a')", "name of another member"),
        ("file('tree/a'); file('tree/a/b')", "name of another member"),
        ("file('tree' + '/x' * 200_000)", "longer than a path can be"),
        // Hard links.
        ("hard('tree/a', home + '/outside')", "absolute path"),
        ("hard('tree/a', '../outside')", "goes up"),
        ("hard('tree/a', 'outside')", "not below tree/"),
        ("hard('tree/a', 'tree/b')", "no file before it"),
        ("hard('tree/a', 'tree/b'); file('tree/b')", "no file before it"),
        ("hard('tree/a', 'tree/a')", "no file before it"),
        ("directory('tree/b'); hard('tree/a', 'tree/b')", "no file before it"),
        ("link('tree/b', home + '/outside'); hard('tree/a', 'tree/b')", "out of the tree"),
        // The same target from another place.
        ("directory('tree/x'); link('tree/b/c/d', '../../x'); hard('tree/a', 'tree/b/c/d')", "out of the tree"),
        ("link('tree/b', home); hard('tree/a', 'tree/b/outside')", "no file before it"),
        ("file('tree/a'); file('tree/b'); hard('tree/a', 'tree/b')", "name of another member"),
        ("file('tree/b'); hard('tree/a', 'tree/b'); hard('tree/a', 'tree/a')", "no file before it"),
        // What no release has.
        ("member('tree/a', tarfile.CHRTYPE)", "is a device"),
        ("member('tree/a', tarfile.BLKTYPE)", "is a device"),
        // Only a member of the same kind is replaced.
        ("file('tree/a'); member('tree/a', tarfile.FIFOTYPE)", "name of another member"),
        ("member('tree/a', tarfile.FIFOTYPE); file('tree/a')", "name of another member"),
        ("file('tree/a'); directory('tree/a')", "name of another member"),
        // What no file system takes.
        ("file('tree/' + 'x' * 256)", "longer than the file system takes"),
        ("link('tree/a', 'x/' * 3000)", "longer than the file system takes"),
    ])
    func `is refused, and leaves nothing`(_ members: String, _ reason: String) throws {
        try write(members)
        #expect {
            try bench.extract()
        } throws: { error in
            guard case .unsafe(_, let given)? = error as? ArchiveError else { return false }
            return given.contains(reason)
        }
        #expect(bench.remains.isEmpty)
        #expect(
            try bench.python("print(open('outside').read(), sorted(os.listdir()))")
                == "safe ['ours.tar.gz', 'outside', 'root', 'script.py']\n")
    }

    @Test(arguments: [
        "link('tree/a', 'b'); file('tree/b')",
        "link('tree/a', 'missing')",
        "link('tree/a', 'a')",
        "link('tree/a', 'b/c'); link('tree/b/c', '../a')",
        "link('tree/a', 'a/x')",
        "link('tree/b', 'c'); hard('tree/a', 'tree/b')",
        "link('tree/b', 'missing'); hard('tree/c/a', 'tree/b')",
        "member('tree/a', tarfile.FIFOTYPE); hard('tree/b', 'tree/a')",
        "link('tree/a', home + '/root/tree')",
        "link('tree/a', home + '/root//tree/./b'); file('tree/b')",
        "link('tree/c/a', '../b'); file('tree/b')",
        "directory('./'); directory('./tree'); file('./tree//b')",
        "directory('tree/b'); file('tree/b/c'); directory('tree/b')",
        "file('tree/b/c/d')",
    ])
    func `is harmless, and taken`(_ members: String) throws {
        try write(members)
        try bench.extract()
        #expect(bench.remains == ["tree"])
    }

    @Test(arguments: ["", "directory('./')"])
    func `an archive without the tree is malformed`(_ members: String) throws {
        try write(members)
        #expect(throws: ArchiveError.malformed("it has no tree/")) { try bench.extract() }
        #expect(bench.remains.isEmpty)
    }

    /// A release's archive, cut at some place: in the gzip header, the contents, and the trailer.
    @Test(arguments: [0, 1, 5, 1000, 100_000, -9, -8, -1], [true, false])
    func `a truncated archive leaves nothing`(_ place: Int, _ isGzip: Bool) throws {
        try bench.python(richTree)
        try bench.archive("tree")
        try bench.python(
            """
            import gzip
            data = open('ours.tar.gz', 'rb').read()
            if not \(isGzip ? "True" : "False"): data = gzip.decompress(data).rstrip(bytes(1))
            open('ours.tar.gz', 'wb').write(data[:\(place)])
            """)
        #expect {
            try bench.extract()
        } throws: {
            if case .malformed? = $0 as? ArchiveError { true } else { false }
        }
        #expect(bench.remains.isEmpty)
    }

    /// Fails when the end of the tar isn't looked for: to libarchive, a tar may end behind any member.
    @Test func `an archive that was cut between two members leaves nothing`() throws {
        try bench.python(Self.kit + "directory('tree'); file('tree/a'); archive.fileobj.close()")
        #expect(throws: ArchiveError.malformed("its end is missing")) { try bench.extract() }
        #expect(bench.remains.isEmpty)
    }

    /// Fails with libarchive's own filter for gzip, which doesn't look at the CRC-32.
    @Test(arguments: [-8, -5, -4, -1]) func `a wrong checksum or length leaves nothing`(_ place: Int) throws {
        try bench.python(richTree)
        try bench.archive("tree")
        try bench.python(
            "data = bytearray(open('ours.tar.gz', 'rb').read()); data[\(place)] ^= 1; open('ours.tar.gz', 'wb').write(data)"
        )
        #expect {
            try bench.extract()
        } throws: {
            if case .malformed? = $0 as? ArchiveError { true } else { false }
        }
        #expect(bench.remains.isEmpty)
    }

    /// As for tarfile. Fails where libarchive chooses the filters itself: then it takes any number.
    @Test(arguments: ["bz2", "lzma"]) func `what was compressed twice is no archive`(_ module: String) throws {
        try bench.python(
            Self.kit + """
                import \(module)
                directory('tree')
                archive.close()
                plain = __import__('gzip').open('ours.tar.gz').read()
                open('ours.tar.gz', 'wb').write(\(module).compress(\(module).compress(plain)))
                """)
        #expect {
            try bench.extract()
        } throws: {
            if case .malformed? = $0 as? ArchiveError { true } else { false }
        }
        #expect(bench.remains.isEmpty)
    }

    @Test func `a name can't steer the terminal that shows it`() throws {
        try write("file('tree/../\\x1b[2J\\n')")
        #expect {
            try bench.extract()
        } throws: { error in
            !"\(error)".unicodeScalars.contains { $0.value < 32 }
        }
    }
}
