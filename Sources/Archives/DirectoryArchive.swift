import Gzip

/// A directory on its way to become a tar.gz.
///
/// The same tree gives the same bytes, whatever the number of threads. Owners, permissions, times in seconds, hard and
/// symbolic links are kept; extended attributes are not. Nothing may change in the directory meanwhile: what does is an
/// error, never a damaged archive.
public struct DirectoryArchive: Sendable {
    private let directory: Path
    private let name: Path
    private let location: Path
    private let omitted: Set<Path>
    private let makesLinksRelative: Bool

    /// - Parameters:
    ///   - name: of the one member at the archive's top, which holds all others.
    ///   - location: absolute, where the tree will be when it is extracted. Links may lead there.
    ///   - omitted: names right below the top that stay out.
    ///   - makesLinksRelative: whether absolute symbolic links into the tree are archived as relative ones to the same
    ///     place. `tarfile` of Python 3.14 and later extracts no absolute ones (PEP 706, the filter `data`).
    public init(
        directory: String, name: String, location: String, omitting omitted: [String] = [],
        makesLinksRelative: Bool = false
    ) {
        self.directory = Path(directory)
        self.name = Path(name)
        self.location = Path(location)
        self.omitted = Set(omitted.map { Path(directory).appending(Path($0)) })
        self.makesLinksRelative = makesLinksRelative
    }

    public struct PackingSummary: Sendable {
        /// Members of any kind.
        public internal(set) var members = 0
        /// Of the files' contents.
        public internal(set) var bytes = 0
        /// What an archive can't hold.
        public internal(set) var leftOut: [(member: String, reason: String)] = []
        /// Symbolic links that lead out of the tree. `ArchiveExtractor` refuses an archive that has one.
        public internal(set) var leavingLinks: [(member: String, target: String)] = []
    }

    /// Compresses on `threads` threads beside the caller's, which reads the files and calls the closures.
    ///
    /// - Parameters:
    ///   - level: 0 to 9, as gzip's.
    ///   - progress: is told how many bytes of contents were read so far, and may throw to end it.
    ///   - sink: takes the archive, piece by piece. What it throws ends all threads, and is thrown on.
    /// - Throws: `ArchiveError`, or what the closures threw.
    public func write(
        threads: Int, level: Int = 6, progress: (_ bytesRead: Int) throws -> Void = { _ in },
        to sink: (UnsafeRawBufferPointer) throws -> Void
    ) throws -> PackingSummary {
        guard name.isName else { throw ArchiveError.unsafe(member: name.description, reason: "is no name of a file") }
        return try withoutActuallyEscaping(sink) { sink in
            try withoutActuallyEscaping(progress) { progress in
                try write(threads: threads, level: level, progress: progress, sink: sink)
            }
        }
    }

    private func write(
        threads: Int, level: Int, progress: @escaping (Int) throws -> Void,
        sink: @escaping (UnsafeRawBufferPointer) throws -> Void
    ) throws -> PackingSummary {
        let gzip = try ParallelGzip(threads: max(1, threads), level: min(max(0, level), 9), sink: sink)
        let tar = try TarWriter { try gzip.write($0) }
        var packing = try Packing(
            of: directory, omitting: omitted, seenFrom: location, makesLinksRelative: makesLinksRelative, into: tar,
            progress: progress)
        try packing.add(directory, as: name)
        try tar.finish()
        try gzip.finish()
        return packing.summary
    }
}
