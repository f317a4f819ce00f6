import Glibc
import ShaCache
import System

/// Compares a store with its database, one shelf after the other, and shows all that it meets. It changes nothing and
/// takes no locks: a file that seems to be missing is looked up again, because uploads and withdrawals go on meanwhile.
struct StoreWalk {
    let blobs: BlobRepository
    var store: LocalBlobs { blobs.files }
    var rows: BlobRows { BlobRows(session: blobs.session) }
    /// nil: a file counts whole under each of its names.
    private var links: HardLinkTracker?
    /// In seconds since 1970.
    private let start: Int
    private let observe: (StoredItem) throws -> Void

    /// - Parameter isCountingOnce: a file with several hard links counts once, which takes memory for each.
    init(
        of blobs: BlobRepository, from start: Int, isCountingOnce: Bool,
        observe: @escaping (StoredItem) throws -> Void
    ) {
        self.blobs = blobs
        self.start = start
        self.observe = observe
        links = isCountingOnce ? HardLinkTracker() : nil
    }

    mutating func run() throws {
        guard let top = try Directory(inStore: store.directory) else {
            throw StoreError(.broken, "there is no such directory")
        }
        try addDirectory(top)
        // Blobs first: a file with a second name in the spool is counted as a blob.
        try auditShelves(of: top)
        try auditWithdrawn(of: top)
        try auditQuarantine(of: top)
        try auditFiles(of: .trash, in: "trash", of: top) { name in
            guard let digest = Digest(name), digest.description == name else { return nil }
            return .trash(digest)
        }
        try auditFiles(of: .journal, in: "journal", of: top) { name in
            Journal.isFileName(name) ? .path("journal/\(name)") : nil
        }
        try auditSpool(of: top)
        let known: Set = ["blobs", "withdrawn", "quarantine", "trash", "journal", "incoming"]
        try top.forEachItem { name, status in
            let path = String(cString: name)
            guard !known.contains(path) else { return }
            path == LocalBlobs.restoreMark
                ? try addTemporary(name, status, in: top, path: path)
                : try addUnknown(name, status, in: top, path: path)
        }
    }

    private mutating func addDirectory(_ directory: Directory) throws {
        try add(facts(try directory.status()), as: .directory, at: .path(""))
    }

    private mutating func auditShelves(of top: Directory) throws {
        let blobs = try top.subdirectory("blobs")
        for number in UInt8.min...UInt8.max {
            let name = hex([number])
            var files =
                try blobs.flatMap { try $0.subdirectory(name) }
                .map { try blobFiles(in: $0, path: "blobs/\(name)") { $0.description.hasPrefix(name) } } ?? [:]
            try compareShelf(number, &files)
        }
        guard let blobs else { return }
        try addDirectory(blobs)
        try blobs.forEachItem { name, status in
            let text = String(cString: name)
            guard status.st_mode & S_IFMT != S_IFDIR || text.wholeMatch(of: /[0-9a-f]{2}/) == nil else { return }
            try addUnknown(name, status, in: blobs, path: "blobs/\(text)")
        }
    }

    private mutating func auditWithdrawn(of top: Directory) throws {
        var files =
            try top.subdirectory("withdrawn")
            .map { try blobFiles(in: $0, path: "withdrawn") { _ in true } } ?? [:]
        try compareWithdrawn(&files)
    }

    private mutating func auditQuarantine(of top: Directory) throws {
        guard let directory = try top.subdirectory("quarantine") else { return }
        for file in try blobFiles(in: directory, path: "quarantine", belongs: { _ in true }).values {
            try add(file, as: .quarantined, at: .path(""))
        }
    }

    /// One by one: there may be very many.
    ///
    /// - Parameter place: of the file of that name; nil when none belongs there.
    private mutating func auditFiles(
        of kind: StoreAuditReport.FileKind, in name: String, of top: Directory, place: (String) -> StoredItem.Place?
    ) throws {
        guard let directory = try top.subdirectory(name) else { return }
        try addDirectory(directory)
        try directory.forEachItem { item, status in
            let text = String(cString: item)
            guard status.st_mode & S_IFMT == S_IFREG, let place = place(text) else {
                return try addUnknown(item, status, in: directory, path: "\(name)/\(text)")
            }
            try add(facts(status), as: kind, at: place)
        }
    }

    private mutating func auditSpool(of top: Directory) throws {
        guard let spools = try top.subdirectory("incoming") else { return }
        try addDirectory(spools)
        try spools.forEachItem { name, status in
            let path = "incoming/\(String(cString: name))"
            guard let spool = try spools.subdirectory(name) else {
                return try addTemporary(name, status, in: spools, path: path)
            }
            try addDirectory(spool)
            try spool.forEachItem { name, status in
                try addTemporary(name, status, in: spool, path: "\(path)/\(String(cString: name))")
            }
        }
    }

    private mutating func addTemporary(
        _ name: UnsafePointer<CChar>, _ status: stat, in spool: Directory, path: String
    ) throws {
        guard status.st_mode & S_IFMT == S_IFREG else { return try addUnknown(name, status, in: spool, path: path) }
        try add(facts(status), as: .temporary, at: .path(path))
    }

    /// The files in a directory whose names are digests. Everything else there is added as unknown.
    private mutating func blobFiles(in directory: Directory, path: String, belongs: (Digest) -> Bool) throws
        -> [Digest: StoredFile]
    {
        try addDirectory(directory)
        var files: [Digest: StoredFile] = [:]
        try directory.forEachItem { name, status in
            let text = String(cString: name)
            guard status.st_mode & S_IFMT == S_IFREG, let digest = Digest(text), digest.description == text,
                belongs(digest)
            else { return try addUnknown(name, status, in: directory, path: "\(path)/\(text)") }
            files[digest] = facts(status)
        }
        return files
    }

    private mutating func addUnknown(
        _ name: UnsafePointer<CChar>, _ status: stat, in parent: Directory, path: String
    ) throws {
        guard status.st_mode & S_IFMT == S_IFDIR else {
            return try add(facts(status), as: .unknown, at: .path(path))
        }
        guard let directory = try parent.subdirectory(name) else { return }
        var isEmpty = true
        try directory.forEachItem { name, status in
            isEmpty = false
            try addUnknown(name, status, in: directory, path: "\(path)/\(String(cString: name))")
        }
        // What lies in one names it. The file system's own is there from the beginning.
        guard isEmpty, path != "lost+found" else { return try addDirectory(directory) }
        try add(facts(directory.status()), as: .unknown, at: .path("\(path)/"))
    }

    /// Seconds. A file exists before its row does; and one that was restored without a row isn't reported at once.
    private static let grace = 24 * 3600

    func addWithoutRow(_ file: StoredFile, at place: StoredItem.Place) throws {
        try add(file, as: file.modified > start - Self.grace ? .arriving : .orphan, at: place)
    }

    func add(
        _ file: StoredFile, as kind: StoreAuditReport.FileKind, at place: StoredItem.Place, detail: String = "",
        isMisplaced: Bool = false
    ) throws {
        try observe(StoredItem(kind: kind, place: place, file: file, detail: detail, isMisplaced: isMisplaced))
    }

    mutating func facts(_ status: stat) -> StoredFile {
        StoredFile(status, isAgain: links?.isAgain(status) ?? false)
    }
}
