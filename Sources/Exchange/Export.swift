import OpenSSL
public import ShaCache
public import Storage
import System

/// What an export came to.
public struct ExportSums: Equatable, Sendable {
    /// Of what was written.
    public var blobs = 0
    public var bytes = 0
    public var keys = 0
    /// Blobs and keys that were there already, as they are here; of an export by a prefix, keys only.
    public var present = 0
    /// What was there of an earlier export, and is withdrawn.
    public var removed = 0
    /// Blobs that can't be read, or have other bytes than their name says.
    public var damaged = 0
}

/// Writes what a cache shows into a directory. What is there already is left alone, so an export that was stopped is
/// simply repeated. Belongs to one thread.
public final class Export {
    private let blobs: BlobRepository
    private let entries: Entries
    private let directory: ExportDirectory
    private let links: Bool
    private let damaged: (Digest, String) -> Void
    private let progress: (ExportSums) -> Void
    /// Few, and each is reported once, however many keys name it.
    private var damagedBlobs: Set<Digest> = []
    private var sums = ExportSums() {
        didSet { progress(sums) }
    }

    /// - Parameters:
    ///   - links: whether a blob becomes a hard link where that is possible: then it is not read, and whoever writes
    ///     into it writes into the store.
    ///   - damaged: is told of blobs that aren't exported.
    public init(
        of store: LocalBlobs, _ session: Session, into directory: String, links: Bool,
        damaged: @escaping (Digest, String) -> Void, progress: @escaping (ExportSums) -> Void
    ) throws {
        blobs = BlobRepository(store, session)
        entries = Entries(session, in: store)
        self.directory = try ExportDirectory(directory)
        self.links = links
        self.damaged = damaged
        self.progress = progress
    }

    /// - Parameter prefix: only keys that begin with it, and the blobs that they name; nil: everything.
    public func perform(keysBeginningWith prefix: String?) throws -> ExportSums {
        // The blobs of each key before its list: so no list names one that came after the blobs were written.
        try entries.forEachKey(beginningWith: prefix ?? "", write)
        if prefix == nil { try writeAllBlobs() }
        try directory.finish()
        return sums
    }

    private func writeAllBlobs() throws {
        var visible = 0
        try blobs.forEachBlob { digest, size, isWithdrawn in
            guard !isWithdrawn else { return try remove(directory.path(of: digest)) }
            try write(digest, size: size)
            visible += 1
        }
        sums.present += max(0, visible - sums.blobs - sums.damaged)
    }

    private func write(_ key: Key) throws {
        let path = directory.path(of: key)
        guard let list = try entries.list(of: key), list != Self.emptyList else { return try remove(path) }
        for digest in try entries.blobs(under: key) {
            if let size = try blobs.size(of: digest) { try write(digest, size: size) }
        }
        if directory.size(of: path) == list.count, try contentsOfFile(path) == list {
            sums.present += 1
        } else {
            try directory.add(path, size: list.count) { file in
                try list.withUnsafeBytes { try file.writeAll($0) }
            }
            sums.keys += 1
        }
    }

    private static let emptyList = Array("[]".utf8)

    private func remove(_ path: String) throws {
        if try ExportDirectory.remove(path) { sums.removed += 1 }
    }

    private func write(_ digest: Digest, size: Int) throws {
        let path = directory.path(of: digest)
        guard directory.size(of: path) != size else { return }
        do {
            let isThere: Void? = try blobs.files.withFile(of: digest) { descriptor in
                let file = try Descriptor.duplicate(descriptor, named: "the file of blob \(digest)")
                guard try file.size() == size else { throw DamagedFile("has another size than was stored") }
                if links, try directory.addLink(path, size: size, to: descriptor) { return }
                try copy(file, of: digest, size: size, to: path)
            }
            guard isThere != nil else { throw DamagedFile("can't be opened") }
            sums.blobs += 1
            sums.bytes += size
        } catch let error as DamagedFile {
            guard damagedBlobs.insert(digest).inserted else { return }
            damaged(digest, error.reason)
            sums.damaged += 1
        }
    }

    private func copy(_ file: borrowing Descriptor, of digest: Digest, size: Int, to path: String) throws {
        try directory.add(path, size: size) { copy in
            let hash = Hash(.sha512)
            try file.forEachPiece { piece in
                hash.update(piece)
                try copy.writeAll(piece)
            }
            guard Digest(bytes: hash.finish()) == digest else {
                throw DamagedFile("has other bytes than its name says")
            }
        }
    }
}

/// A blob that can't be exported as it was stored.
private struct DamagedFile: Error {
    let reason: String

    init(_ reason: String) { self.reason = reason }
}
