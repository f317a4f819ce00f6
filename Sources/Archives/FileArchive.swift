import Glibc
import Gzip

/// A tar.gz of files that exist in memory alone, below one directory for its owner alone.
public struct FileArchive {
    public struct ArchivedFile {
        let name: String
        let contents: [UInt8]
        let permissions: UInt32

        public init(name: String, contents: [UInt8], permissions: UInt32) {
            self.name = name
            self.contents = contents
            self.permissions = permissions
        }
    }

    private let directory: Path
    private let files: [ArchivedFile]
    private let time: Int

    /// - Parameter time: when all of it was made, in seconds since 1970.
    public init(directory: String, files: [ArchivedFile], time: Int) {
        self.directory = Path(directory)
        self.files = files
        self.time = time
    }

    /// - Throws: `ArchiveError`.
    public func bytes() throws -> [UInt8] {
        var bytes: [UInt8] = []
        let gzip = try ParallelGzip(threads: 1, level: 6) { bytes.append(contentsOf: $0) }
        let tar = try TarWriter { try gzip.write($0) }
        try tar.begin(TarEntry(directory, type: S_IFDIR, permissions: 0o700, size: 0, time: time), directory)
        for file in files {
            let member = directory.appending(Path(file.name))
            let entry = TarEntry(
                member, type: S_IFREG, permissions: file.permissions, size: file.contents.count, time: time)
            try tar.begin(entry, member)
            try file.contents.withUnsafeBytes { try tar.write($0, member) }
        }
        try tar.finish()
        try gzip.finish()
        return bytes
    }
}
