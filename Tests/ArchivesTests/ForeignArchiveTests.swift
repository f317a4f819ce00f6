import Fixtures
import Foundation
import Testing

@testable import Archives

/// What Python's `tarfile`, which slapgrid extracts with, takes of others' programs: we make the same of it.
struct ForeignArchiveTests {
    private let bench: Workbench

    init() throws { bench = try Workbench() }

    /// Adds to Python what writes archives of a tree.
    private static let kit = """
        import bz2, gzip, lzma, subprocess
        def plain(*names, **options):
            file = io.BytesIO()
            with tarfile.open(fileobj=file, mode='w', **options) as archive:
                for name in names: archive.add(name)
            return file.getvalue()
        def zstd(data):
            # The frame of a single segment, in blocks that aren't compressed (RFC 8878, 3.1.1).
            frame = b'\\x28\\xb5\\x2f\\xfd\\xa0' + len(data).to_bytes(4, 'little')
            for place in range(0, len(data), 100_000):
                block = data[place:place + 100_000]
                frame += ((place + 100_000 >= len(data)) | len(block) << 3).to_bytes(3, 'little') + block
            return frame
        def write(data): open('ours.tar.gz', 'wb').write(data)

        """

    private static let tree = [("3 << 20", "150_000"), ("9 << 20", "300_000"), ("8 << 20", "250_000")].reduce(richTree)
    {
        $0.replacingOccurrences(of: $1.0, with: $1.1)
    }

    private func write(_ script: String) throws {
        try bench.python("\(Self.tree)\nos.chdir(sys.argv[1])\n\(Self.kit)\(script)")
    }

    /// Those with zeros fail without `skipZeros`, those with garbage without `isBeginningAnother` and `hasMark`, the
    /// compressed ones without FilteredBytes, and the last one without `over:` in TreeWriter.
    @Test(arguments: [
        "write(gzip.compress(plain('tree')) + bytes(1))",
        "write(gzip.compress(plain('tree')) + bytes(1 << 20))",
        "data = plain('tree'); write(gzip.compress(data[:70000]) + bytes(77) + gzip.compress(data[70000:]) + bytes(10240))",
        "write(gzip.compress(plain('tree')) + b'garbage')",
        "write(gzip.compress(plain('tree')) + b'\\x1f\\x8bgarbage')",
        "write(gzip.compress(plain('tree')) + b'\\x1f')",
        "write(gzip.compress(plain('tree') + b'garbage' * 1000))",
        "write(plain('tree') + b'garbage' * 1000)",
        "write(plain('tree') + plain('script.py'))",
        "write(bz2.compress(plain('tree')))",
        "data = plain('tree'); write(bz2.compress(data[:70000]) + bz2.compress(data[70000:]))",
        "write(lzma.compress(plain('tree')))",
        "write(lzma.compress(plain('tree')) + bytes(8))",
        "data = plain('tree'); write(lzma.compress(data[:70000]) + lzma.compress(data[70000:]))",
        "write(lzma.compress(plain('tree'), lzma.FORMAT_ALONE))",
        "write(plain('tree/a', 'tree'))",
    ])
    func `an archive becomes what it becomes there`(_ script: String) throws {
        try write(script)
        try bench.python("tarfile.open('ours.tar.gz').extractall('theirs', numeric_owner=True)")
        try bench.extract()
        #expect(try bench.listing("root/tree") == bench.listing("theirs/tree"))
    }

    /// Python reads it from 3.14 on.
    @Test func `zstd is read`() throws {
        try write("write(zstd(plain('tree')))")
        try bench.extract()
        #expect(try bench.listing("root/tree") == bench.listing("tree"))
    }

    /// As `tar -r` writes it. Fails without `over:` in TreeWriter's makeFile, and without `hardLinks`.
    @Test func `what was appended replaces what was there before`() throws {
        try write(
            """
            subprocess.run(['tar', '-cf', 'ours.tar.gz', 'tree'], check=True)
            open('tree/program', 'w').write('newer')
            os.remove('tree/dangling')
            os.symlink('elsewhere', 'tree/dangling')
            os.chmod('tree/a', 0o700)
            subprocess.run(['tar', '-rf', 'ours.tar.gz', 'tree'], check=True)
            """)
        try bench.extract()
        #expect(try bench.listing("root/tree") == bench.listing("tree"))
    }

    @Test func `what is replaced by its name stays under its other name`() throws {
        try bench.python(
            """
            os.mkdir('tree')
            open('tree/a', 'w').write('old')
            os.link('tree/a', 'tree/b')
            os.system('tar -cf ours.tar.gz tree')
            open('new', 'w').write('new')
            os.rename('new', 'tree/a')
            os.system('tar -rf ours.tar.gz tree/a')
            """)
        try bench.extract()
        #expect(try bench.python("print(open('root/tree/a').read(), open('root/tree/b').read())") == "new old\n")
    }

    @Test func `FIFOs are made, with their permissions and times`() throws {
        try bench.python(
            """
            os.mkdir('tree')
            os.mkfifo('tree/a')
            os.chmod('tree/a', 0o640)
            os.utime('tree/a', (1, 1600000000))
            os.system('tar -czf ours.tar.gz tree')
            """)
        try bench.extract()
        let made = try bench.python(
            "status = os.stat('root/tree/a'); print(oct(status.st_mode), int(status.st_mtime))")
        #expect(made == "0o10640 1600000000\n")
    }

    @Test(arguments: ["tarfile.CONTTYPE", "b'Z'"]) func `members of types that nobody knows are files`(_ type: String)
        throws
    {
        try bench.python(
            """
            with tarfile.open('ours.tar.gz', 'w:gz') as archive:
                info = tarfile.TarInfo('tree/a')
                info.type, info.size = \(type), 4
                archive.addfile(info, io.BytesIO(b'text'))
            """)
        try bench.extract()
        #expect(try bench.python("print(open('root/tree/a').read())") == "text\n")
    }

    /// In the header, the contents, and the trailer, where the checksums are.
    @Test(arguments: ["bz2.compress", "lzma.compress", "zstd"], [8, 100_000, -9, -1])
    func `a truncated archive leaves nothing`(_ compress: String, _ place: Int) throws {
        try write("write(\(compress)(plain('tree').rstrip(bytes(1)) + bytes(1024))[:\(place)])")
        #expect {
            try bench.extract()
        } throws: {
            if case .malformed? = $0 as? ArchiveError { true } else { false }
        }
        #expect(bench.remains.isEmpty)
    }

    /// Fails with a filter that doesn't look at the checksums.
    @Test(arguments: ["bz2.compress", "lzma.compress"], [100_000, -5])
    func `a damaged archive leaves nothing`(_ compress: String, _ place: Int) throws {
        try write("data = bytearray(\(compress)(plain('tree'))); data[\(place)] ^= 1; write(data)")
        #expect {
            try bench.extract()
        } throws: {
            if case .malformed? = $0 as? ArchiveError { true } else { false }
        }
        #expect(bench.remains.isEmpty)
    }

    /// What is no archive at all, and what begins as a compressed one and isn't.
    @Test(arguments: ["b''", "b'PK' * 1000", "b'BZh' + bytes(1000)", "bz2.compress(b'')", "lzma.compress(b'text')"])
    func `what is no tar leaves nothing`(_ contents: String) throws {
        try write("write(\(contents))")
        #expect {
            try bench.extract()
        } throws: {
            if case .malformed? = $0 as? ArchiveError { true } else { false }
        }
        #expect(bench.remains.isEmpty)
    }

    // MARK: File systems that rename only with replacing

    @Test func `over a directory of its own, a rename replaces nothing`() throws {
        try bench.python("os.makedirs('from/tree'); open('from/tree/file', 'w')")
        let (from, to) = (open(bench.path("from"), O_DIRECTORY), open(bench.root, O_DIRECTORY))
        defer { for descriptor in [from, to] { close(descriptor) } }
        try ExclusiveRename.overOwn.move(Path("tree"), from: from, to: to)
        #expect(try bench.python("print(os.listdir('root/tree'), os.listdir('from'))") == "['file'] []\n")
    }

    /// Even an empty directory, which the system call itself would replace.
    @Test(arguments: ["os.mkdir('root/tree')", "open('root/tree', 'w')", "os.symlink('nowhere', 'root/tree')"])
    func `over its own, a rename leaves alone what is there`(_ script: String) throws {
        try bench.python("os.makedirs('from/tree'); open('from/tree/file', 'w'); " + script)
        let (from, to) = (open(bench.path("from"), O_DIRECTORY), open(bench.root, O_DIRECTORY))
        defer { for descriptor in [from, to] { close(descriptor) } }
        #expect(throws: ArchiveError.exists("tree")) {
            try ExclusiveRename.overOwn.move(Path("tree"), from: from, to: to)
        }
        #expect(
            try bench.python("print(os.listdir('from/tree'), os.path.isdir('root/tree/file'))") == "['file'] False\n")
    }

    @Test func `the trial of a rename leaves nothing`() throws {
        let root = open(bench.root, O_DIRECTORY)
        defer { close(root) }
        _ = try ExclusiveRename(triedIn: root)
        #expect(bench.remains.isEmpty)
    }
}
