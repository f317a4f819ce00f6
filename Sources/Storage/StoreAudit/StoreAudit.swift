import Glibc
import ShaCache
import System

/// Compares a store with its database, one shelf after the other. It changes nothing and takes no locks: a file that
/// seems to be missing is looked up again, because uploads and withdrawals go on meanwhile.
public struct StoreAudit {
    let blobs: BlobRepository
    var store: LocalBlobs { blobs.files }
    var rows: BlobRows { BlobRows(session: blobs.session) }
    var links = HardLinkTracker()
    var report = StoreAuditReport()

    private init(of blobs: BlobRepository) { self.blobs = blobs }

    /// Runs the audit and records its report.
    ///
    /// - Parameter host: the host that has the store.
    public static func run(of blobs: BlobRepository, host: String) throws -> StoreAuditReport {
        var audit = StoreAudit(of: blobs)
        try audit.walk()
        try StoreAuditReports(blobs.session).save(audit.report, free: blobs.files.free(), host: host)
        return audit.report
    }

    private mutating func walk() throws {
        guard let top = try Directory(inStore: store.directory) else {
            throw StoreError(.broken, "there is no such directory")
        }
        try addDirectory(top)
        // Blobs first: a file with a second name in the spool is counted as a blob.
        try auditShelves(of: top)
        try auditWithdrawn(of: top)
        try auditQuarantine(of: top)
        try auditSpool(of: top)
        try top.forEachItem { name, status in
            guard !["blobs", "withdrawn", "quarantine", "incoming"].contains(String(cString: name)) else { return }
            try addUnknown(name, status, in: top, path: String(cString: name))
        }
    }

    private mutating func addDirectory(_ directory: Directory) throws {
        report.add(links.facts(try directory.status()), as: .directory, name: "")
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
            report.add(file, as: .quarantined, name: "")
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
        report.add(links.facts(status), as: .temporary, name: "")
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
            files[digest] = links.facts(status)
        }
        return files
    }

    private mutating func addUnknown(
        _ name: UnsafePointer<CChar>, _ status: stat, in parent: Directory, path: String
    ) throws {
        guard status.st_mode & S_IFMT == S_IFDIR else {
            return report.add(links.facts(status), as: .unknown, name: path)
        }
        guard let directory = try parent.subdirectory(name) else { return }
        try addDirectory(directory)
        try directory.forEachItem { name, status in
            try addUnknown(name, status, in: directory, path: "\(path)/\(String(cString: name))")
        }
    }

    /// Seconds. A file exists before its row does; and one that was restored without a row isn't reported at once.
    private static let grace = 24 * 3600

    mutating func addWithoutRow(_ file: StoredFile, path: String) {
        report.add(file, as: file.modified > report.start - Self.grace ? .arriving : .orphan, name: path)
    }
}

/// The attributes of a file or directory in the store.
struct StoredFile {
    let bytes: Int
    /// On disk; 0 for a file that was counted before under another name.
    let allocated: Int
    /// The modification time, in seconds since 1970.
    let modified: Int
    let isOrdinary: Bool
    let isDirectory: Bool
}

/// Counts a file with several hard links once: while a blob is published, it has two.
struct HardLinkTracker {
    private struct Inode: Hashable {
        let device: dev_t
        let number: ino_t
    }

    private var seen: Set<Inode> = []

    mutating func facts(_ status: stat) -> StoredFile {
        let type = status.st_mode & S_IFMT
        let isAgain =
            type != S_IFDIR && status.st_nlink > 1
            && !seen.insert(Inode(device: status.st_dev, number: status.st_ino)).inserted
        return StoredFile(
            bytes: isAgain ? 0 : Int(status.st_size),
            // stat(2): in units of 512 bytes, whatever the file system's blocks are.
            allocated: isAgain ? 0 : Int(status.st_blocks) * 512,
            modified: Int(status.st_mtim.tv_sec), isOrdinary: type == S_IFREG, isDirectory: type == S_IFDIR)
    }
}
