import Archives
import Fixtures
import Foundation

/// A disk to make archives on and to extract them, with Python's `tarfile` as the other side.
struct Workbench {
    let directory: TemporaryDirectory

    init() throws {
        directory = try TemporaryDirectory()
        try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: false)
    }

    /// Where trees are extracted to.
    var root: String { path("root") }

    func path(_ name: String) -> String { "\(directory.path)/\(name)" }

    /// Runs the script in the directory.
    @discardableResult
    func python(_ script: String, _ arguments: String...) throws -> String {
        let prelude = "import io, os, sys, tarfile\nos.chdir(sys.argv[1])\n"
        let source = path("script.py")
        try Data((prelude + script).utf8).write(to: URL(filePath: source))
        defer { unlink(source) }
        let words = try output(of: "python3", source, directory.path, arguments.first ?? "")
        return String(decoding: words, as: UTF8.self)
    }

    @discardableResult
    func archive(
        _ tree: String, to file: String = "ours.tar.gz", location: String? = nil, makesLinksRelative: Bool = false,
        threads: Int = 2
    ) throws -> DirectoryArchive.PackingSummary {
        try Data().write(to: URL(filePath: path(file)))
        let handle = try FileHandle(forWritingTo: URL(filePath: path(file)))
        let archive = DirectoryArchive(
            directory: path(tree), name: "tree", location: location ?? "\(root)/tree",
            makesLinksRelative: makesLinksRelative)
        return try archive.write(threads: threads) { try handle.write(contentsOf: Data($0)) }
    }

    @discardableResult
    func extract(_ file: String = "ours.tar.gz", owner: Owner? = nil) throws -> ArchiveExtractor.ExtractionSummary {
        let handle = try FileHandle(forReadingFrom: URL(filePath: path(file)))
        return try ArchiveExtractor(name: "tree", root: root, owner: owner).extract(from: handle.fileDescriptor)
    }

    /// All that lies in the tree, and what it is: the same text for the same trees.
    func listing(_ tree: String) throws -> String {
        try python(
            """
            import zlib
            os.chdir(sys.argv[2])
            names = {}
            for place, directories, files in os.walk(b'.'):
                directories.sort()
                for path in sorted(os.path.join(place, name) for name in directories + files) + [place]:
                    status = os.lstat(path)
                    # Python doesn't restore the times of links.
                    print(path, oct(status.st_mode), not os.path.islink(path) and int(status.st_mtime), end=' ')
                    if os.path.islink(path): print(os.readlink(path))
                    elif os.path.isdir(path): print()
                    else: print(names.setdefault(status.st_ino, path), zlib.crc32(open(path, 'rb').read()))
            """, tree)
    }

    var remains: [String] { (try? FileManager.default.contentsOfDirectory(atPath: root)) ?? [] }
}

/// A tree with one of everything that a release may have.
let richTree = """
    os.mkdir('tree')
    os.chdir('tree')
    def write(name, data=b'', mode=0o644):
        with open(name, 'wb') as file: file.write(data)
        os.chmod(name, mode)
        os.utime(name, (1, 1600000000))
    write('empty')
    write('program', b'#!/bin/sh\\n', 0o755)
    write('secret', b'x', 0o600)
    os.makedirs('a/b/c')
    write('a/b/c/file', b'content' * 1000)
    os.link('a/b/c/file', 'a/second name')
    os.symlink('b/c/file', 'a/link')
    os.symlink('../a/b', 'a/to directory')
    os.symlink('nowhere', 'dangling')
    write(b'latin-\\xe9')
    write('utf8-\\u00e9-e\\u0301'.encode())
    write('long-' + 'n' * 240)
    deep = 'deep'
    for number in range(6):
        deep += '/' + str(number) * 100
    os.makedirs(deep)
    write(deep + '/file', b'deep')
    os.symlink('x' * 180, 'long target')
    os.mkdir('read-only')
    write('read-only/file', b'r')
    os.chmod('read-only', 0o555)
    with open('big', 'wb') as file:
        file.write(os.urandom(3 << 20))
        file.truncate(9 << 20)
        file.seek(8 << 20)
        file.write(b'end')
    for place, directories, files in os.walk('.'): os.utime(place, (1, 1500000000))
    """
