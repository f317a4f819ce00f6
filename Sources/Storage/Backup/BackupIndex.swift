import Glibc
import ShaCache
import System

/// The blobs that lie in a backup, with their sizes: in a file without a name, since memory need not have room for all.
final class BackupIndex {
    private let file: Descriptor
    /// Of each shelf, where its records lie in the file.
    private var shelves = [Range<Int>](repeating: 0..<0, count: 256)
    /// Few.
    private var withdrawn: [Digest: Int] = [:]
    private var written = 0
    private var pending: [UInt8] = []
    private var current: UInt8?

    /// - Throws: `BackupError`, `ProgramError` or `SystemError` when the place can't be listed.
    init(of place: BackupPlace) throws {
        file = try Descriptor.temporary(in: ScratchDirectory.parent)
        try place.list("", only: ["/blobs/***", "/withdrawn/***"]) { size, name in
            if let name = name.behind("blobs/") {
                try add(name, size)
            } else if let name = name.behind("withdrawn/"), let digest = Digest(name) {
                withdrawn[digest] = size
            }
        }
        try flush()
    }

    /// rsync lists one directory after the other.
    private func add(_ path: String, _ size: Int) throws {
        guard let blob = Self.blob(path) else { return }
        let shelf = Int(blob.shelf)
        if blob.shelf != current {
            guard shelves[shelf].isEmpty else { throw BackupError("rsync lists a directory twice") }
            current = blob.shelf
            shelves[shelf] = (written + pending.count)..<(written + pending.count)
        }
        pending += BlobRecord(digest: blob.digest, size: size).bytes
        shelves[shelf] = shelves[shelf].lowerBound..<(written + pending.count)
        if pending.count >= 1 << 20 { try flush() }
    }

    private func flush() throws {
        try pending.withUnsafeBytes { try file.writeAll($0) }
        written += pending.count
        pending = []
    }

    /// - Parameter path: `3f/3f9a…`; nil for what is no blob in its place.
    private static func blob(_ path: String) -> (shelf: UInt8, digest: Digest)? {
        guard path.utf8.count == 131, let digest = Digest(String(path.dropFirst(3))),
            LocalBlobs.place(of: digest) == path
        else { return nil }
        return (digest.bytes[0], digest)
    }

    /// Their sizes, in bytes.
    func blobs(on shelf: UInt8) throws -> [Digest: Int] {
        var found = withdrawn.filter { $0.key.bytes[0] == shelf }
        try BlobRecord.forEach(in: file, from: shelves[Int(shelf)]) { found[$0.digest] = $0.size }
        return found
    }

    /// Where it lies there, from the place on.
    func path(of digest: Digest) -> String {
        withdrawn[digest] == nil ? "blobs/\(LocalBlobs.place(of: digest))" : "withdrawn/\(digest)"
    }
}

/// A blob in a file of blobs: its digest, and its size in bytes, as eight bytes, the highest first.
struct BlobRecord {
    let digest: Digest
    let size: Int

    static let length = 72

    var bytes: [UInt8] { digest.bytes + withUnsafeBytes(of: UInt64(size).bigEndian) { Array($0) } }

    init(digest: Digest, size: Int) { (self.digest, self.size) = (digest, size) }

    /// - Parameter bytes: as `bytes` has them.
    private init(_ bytes: UnsafeRawBufferPointer) {
        digest = Digest(bytes: Array(bytes[..<64]))
        size = bytes[64...].reduce(0) { $0 << 8 | Int($1) }
    }

    /// Calls `body` with each that lies in a part of a file.
    static func forEach(in file: borrowing Descriptor, from range: Range<Int>, _ body: (BlobRecord) throws -> Void)
        throws
    {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: length * 10_000, alignment: 16)
        defer { buffer.deallocate() }
        var offset = range.lowerBound
        while offset < range.upperBound {
            let wanted = min(buffer.count, range.upperBound - offset)
            let count = try file.read(at: offset, into: UnsafeMutableRawBufferPointer(rebasing: buffer[..<wanted]))
            let records = count / length
            guard records > 0 else { throw BackupError("\(file.name): ends too early") }
            for index in 0..<records {
                try body(BlobRecord(UnsafeRawBufferPointer(rebasing: buffer[index * length..<(index + 1) * length])))
            }
            offset += records * length
        }
    }
}

/// What is copied at once: what is hashed before it is sent is still in memory then, and what was stopped has copied little
/// less than it could have.
struct BlobBatch {
    private var blobs: [BlobRecord] = []
    private var bytes = 0

    var isFull: Bool { blobs.count >= 10_000 || bytes >= 1 << 30 }

    mutating func add(_ blob: BlobRecord) {
        blobs.append(blob)
        bytes += blob.size
    }

    mutating func takeAll() -> [BlobRecord] {
        defer { self = BlobBatch() }
        return blobs
    }
}

extension String {
    /// nil when it doesn't begin so.
    fileprivate func behind(_ beginning: String) -> String? {
        hasPrefix(beginning) ? String(dropFirst(beginning.count)) : nil
    }
}
