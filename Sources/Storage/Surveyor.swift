import Glibc
import ShaCache

/// Walks through a store beside its catalog, one shelf after the other. It changes nothing, and holds up nobody: what
/// comes and goes meanwhile is looked at twice before it is called missing.
struct Surveyor {
    let store: BlobStore
    let catalog: Catalog
    var watcher = FileWatcher()
    var survey = Survey()

    init(store: BlobStore, catalog: Catalog) {
        self.store = store
        self.catalog = catalog
    }

    mutating func run() throws -> Survey {
        guard let top = try StoreDirectory(opening: store.directory) else {
            throw StoreError(.broken, "there is no such directory")
        }
        try add(top)
        // Blobs first: a file that has a name in the spool as well is a blob already.
        try surveyShelves(of: top)
        try surveyWithdrawn(of: top)
        try surveySpool(of: top)
        try top.forEachItem { name, status in
            guard !["blobs", "withdrawn", "incoming"].contains(String(cString: name)) else { return }
            try addUnknown(name, status, in: top, path: String(cString: name))
        }
        return survey
    }

    private mutating func add(_ directory: StoreDirectory) throws {
        survey.add(watcher.facts(try directory.status()), as: .directory, name: "")
    }

    private mutating func surveyShelves(of top: StoreDirectory) throws {
        let blobs = try StoreDirectory(opening: "blobs", in: top.descriptor)
        for number in UInt8.min...UInt8.max {
            let name = hex([number])
            var files =
                try blobs.flatMap { try StoreDirectory(opening: name, in: $0.descriptor) }
                .map { try blobFiles(in: $0, path: "blobs/\(name)") { $0.description.hasPrefix(name) } } ?? [:]
            try compareShelf(number, &files)
        }
        guard let blobs else { return }
        try add(blobs)
        try blobs.forEachItem { name, status in
            let text = String(cString: name)
            guard status.st_mode & S_IFMT != S_IFDIR || text.wholeMatch(of: /[0-9a-f]{2}/) == nil else { return }
            try addUnknown(name, status, in: blobs, path: "blobs/\(text)")
        }
    }

    private mutating func surveyWithdrawn(of top: StoreDirectory) throws {
        var files =
            try StoreDirectory(opening: "withdrawn", in: top.descriptor)
            .map { try blobFiles(in: $0, path: "withdrawn") { _ in true } } ?? [:]
        try compareWithdrawn(&files)
    }

    private mutating func surveySpool(of top: StoreDirectory) throws {
        guard let spools = try StoreDirectory(opening: "incoming", in: top.descriptor) else { return }
        try add(spools)
        try spools.forEachItem { name, status in
            let path = "incoming/\(String(cString: name))"
            guard let spool = try StoreDirectory(opening: name, in: spools.descriptor) else {
                return try addTemporary(name, status, in: spools, path: path)
            }
            try add(spool)
            try spool.forEachItem { name, status in
                try addTemporary(name, status, in: spool, path: "\(path)/\(String(cString: name))")
            }
        }
    }

    private mutating func addTemporary(
        _ name: UnsafePointer<CChar>, _ status: stat, in spool: StoreDirectory, path: String
    ) throws {
        guard status.st_mode & S_IFMT == S_IFREG else { return try addUnknown(name, status, in: spool, path: path) }
        survey.add(watcher.facts(status), as: .temporary, name: "")
    }

    /// The files in a directory that are named as blobs. All else there is added as unknown.
    private mutating func blobFiles(in directory: StoreDirectory, path: String, belongs: (Digest) -> Bool) throws
        -> [Digest: StoredFile]
    {
        try add(directory)
        var files: [Digest: StoredFile] = [:]
        try directory.forEachItem { name, status in
            let text = String(cString: name)
            guard status.st_mode & S_IFMT == S_IFREG, let digest = Digest(text), digest.description == text,
                belongs(digest)
            else { return try addUnknown(name, status, in: directory, path: "\(path)/\(text)") }
            files[digest] = watcher.facts(status)
        }
        return files
    }

    private mutating func addUnknown(
        _ name: UnsafePointer<CChar>, _ status: stat, in parent: StoreDirectory, path: String
    ) throws {
        guard status.st_mode & S_IFMT == S_IFDIR else {
            return survey.add(watcher.facts(status), as: .unknown, name: path)
        }
        guard let directory = try StoreDirectory(opening: name, in: parent.descriptor) else { return }
        try add(directory)
        try directory.forEachItem { name, status in
            try addUnknown(name, status, in: directory, path: "\(path)/\(String(cString: name))")
        }
    }

    /// Seconds. A file is there before its row is; and what came out of a backup without one isn't lost at once.
    private static let grace = 24 * 3600

    mutating func addWithoutRow(_ file: StoredFile, path: String) {
        survey.add(file, as: file.modified > survey.start - Self.grace ? .arriving : .orphan, name: path)
    }
}
