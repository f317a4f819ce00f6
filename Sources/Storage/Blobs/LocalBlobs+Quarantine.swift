import CLinux
import Glibc
import ShaCache
import System

/// Damaged files lie beside the blobs, where no reader looks.
///
///     DIRECTORY/quarantine/3f9a…
extension LocalBlobs {
    /// A directory with files of blobs.
    enum Shelf: Hashable, Sendable {
        /// Where readers look for the blobs whose digests begin with that byte.
        case visible(UInt8)
        /// Of withdrawn blobs.
        case hidden
        case quarantine
        /// Of blobs that a collection removed.
        case trash

        /// Below the store's directory.
        var name: String {
            switch self {
            case .visible(let byte): "blobs/\(hex([byte]))"
            case .hidden: "withdrawn"
            case .quarantine: "quarantine"
            case .trash: "trash"
            }
        }

        private func holds(_ name: String) -> Bool {
            guard case .visible(let byte) = self else { return true }
            return name.hasPrefix(hex([byte]))
        }

        /// - Returns: nil when the name of a file isn't that of a blob which belongs here.
        fileprivate func digest(_ name: String) -> Digest? {
            guard holds(name), let digest = Digest(name), digest.description == name else { return nil }
            return digest
        }
    }

    func path(_ digest: Digest, on shelf: Shelf) -> String { "\(directory)/\(shelf.name)/\(digest)" }

    /// The blobs that have a file on a shelf, in the order of their digests: no more than `limit`, and none that is
    /// in memory beside twice as many.
    ///
    /// - Parameters:
    ///   - last: only those behind it.
    ///   - start: only files that were written to since then, in seconds since 1970; nil: all, which asks nothing of each.
    func blobs(on shelf: Shelf, after last: Digest?, writtenSince start: Int? = nil, limit: Int) throws -> [Digest] {
        guard let opened = try Directory(inStore: "\(directory)/\(shelf.name)") else { return [] }
        let first = last?.description ?? ""
        var next = LowestNames(limit: limit)
        let add = { (name: UnsafePointer<CChar>) in
            let text = String(cString: name)
            if text > first, shelf.digest(text) != nil { next.add(text) }
        }
        if let start {
            try opened.forEachItem { name, status in if status.st_mtim.tv_sec >= start { add(name) } }
        } else {
            try opened.forEachName(add)
        }
        return next.sorted().map { Digest($0)! }
    }

    /// When a name last came to a shelf or left it, in seconds since 1970; nil when there is no such directory.
    func modified(_ shelf: Shelf) throws -> Int? {
        try Directory(inStore: "\(directory)/\(shelf.name)")?.status().st_mtim.tv_sec
    }

    /// What a file's bytes are on the disk itself.
    func presenceOnDisk(of digest: Digest, on shelf: Shelf) throws(StoreError) -> Presence {
        do throws(SystemError) {
            let file = try UncachedFile(blob: path(digest, on: shelf))
            guard file.status.kind == S_IFREG else { return .absent }
            let found = try Digest { offset, buffer throws(SystemError) in try file.read(at: offset, into: buffer) }
            return found == digest ? .intact : Self.hasOtherBytes
        } catch {
            return try Presence(ofUnreadable: error)
        }
    }

    static let hasOtherBytes = Presence.damaged("has other bytes than its name says")

    /// Takes a damaged file out of readers' sight, and after this returns it stays so in a crash. An older one of the
    /// same blob gives way to it.
    func quarantine(_ digest: Digest, from shelf: Shelf) throws(StoreError) {
        try makeDirectory("\(directory)/\(Shelf.quarantine.name)")
        let rename = try asStoreError(
            try DurableRename(from: opened(shelf, "the blobs"), to: opened(.quarantine, "the quarantine")))
        _ = try notingFailedSynchronization { () throws(SystemError) in
            try rename.moveIfThere("\(digest)", to: "\(digest)")
        }
    }

    private func opened(_ shelf: Shelf, _ name: String) throws(SystemError) -> Descriptor {
        try Descriptor("\(directory)/\(shelf.name)", flags: O_DIRECTORY | O_NOFOLLOW, named: name)
    }

    /// The damaged bytes are of no use beside the right ones.
    func discardQuarantined(_ digest: Digest) { unlink(path(digest, on: .quarantine)) }

    /// In bytes; 0 when there is no such file.
    func size(of digest: Digest, on shelf: Shelf) -> Int {
        var status = stat()
        return lstat(path(digest, on: shelf), &status) == 0 ? Int(status.st_size) : 0
    }

    /// Makes a sealed file a withdrawn blob's, and durable: no reader sees it.
    func linkHidden(_ descriptor: CInt, as digest: Digest) throws(StoreError) {
        try link(descriptor, at: path(digest, on: .hidden))
        try synchronize(openDirectory(withdrawn, "the withdrawn blobs"))
    }
}

extension UncachedFile {
    /// Not to be held up by what isn't a file, nor led elsewhere by a link.
    convenience init(blob path: String) throws(SystemError) {
        try self.init(path, flags: O_NOFOLLOW | O_NONBLOCK, named: "a blob")
    }
}

extension LocalBlobs.Presence {
    /// Of a file that can't be opened, or not be read to its end.
    ///
    /// - Throws: when the error says more about this process than about the file.
    init(ofUnreadable error: SystemError) throws(StoreError) {
        switch error.code {
        case ENOENT: self = .absent
        case EMFILE, ENFILE, ENOMEM, EACCES, EPERM: throw StoreError(error)
        default: self = .damaged("can't be \(error.isOfOpening ? "opened" : "read"): \(error.reason)")
        }
    }
}

/// The first of many names, in their order.
private struct LowestNames {
    let limit: Int
    private var names: [String] = []
    /// The highest that may still be among them; nil: any.
    private var bound: String?

    init(limit: Int) { self.limit = limit }

    mutating func add(_ name: String) {
        if let bound, name > bound { return }
        names.append(name)
        guard names.count >= limit * 2 else { return }
        names = sorted()
        bound = names.last
    }

    func sorted() -> [String] { Array(names.sorted().prefix(limit)) }
}
