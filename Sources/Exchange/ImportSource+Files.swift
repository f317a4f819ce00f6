import Glibc
import ShaCache
import System

extension ImportSource {
    /// The files of slapos.core's slapproxy.
    ///
    /// - Parameters:
    ///   - content: its `shacache_content_directory`, with blobs named by their SHA-512.
    ///   - metadata: its `shacache_metadata_directory`, with a list for each key, named as the key.
    public static func slapproxy(content: String, metadata: String) throws -> ImportSource {
        ImportSource(phases: [
            try BlobFiles(in: content, goesDown: false, naming: .bySHA512),
            try KeyFiles(in: metadata, goesDown: false, key: KeyFileName.literalKey),
        ])
    }

    /// What `Export` wrote.
    public static func exported(_ directory: String) throws -> ImportSource {
        ImportSource(phases: [
            try BlobFiles(in: ExportLayout.blobs(of: directory), goesDown: false, naming: .bySHA512),
            try KeyFiles(in: ExportLayout.lists(of: directory), goesDown: true, key: KeyFileName.key),
        ])
    }
}

/// Files that are blobs.
struct BlobFiles: ImportPhase {
    enum Naming {
        /// The name is a claim about the bytes.
        case bySHA512
        /// The name says nothing.
        case free
    }

    private let files: WalkedFiles
    private let naming: Naming

    init(in directory: String, goesDown: Bool, naming: Naming) throws(SystemError) {
        files = try WalkedFiles(in: directory, goesDown: goesDown)
        self.naming = naming
    }

    func begin(_ importer: Importer) -> () throws -> Bool {
        return {
            try files.takeNext(importer.ledger) { name, path in
                try importer.storeFile(path, as: expectedDigest(of: name))
            }
        }
    }

    private func expectedDigest(of name: String) throws -> Digest? {
        guard naming == .bySHA512 else { return nil }
        guard let digest = Digest(name) else { throw UnfitItem("its name is no SHA-512") }
        return digest
    }
}

extension Importer {
    /// Stores a file as a blob.
    ///
    /// - Parameter expected: what it claims to be; nil reads it once more, to know.
    /// - Returns: what it is.
    @discardableResult
    func storeFile(_ path: String, as expected: Digest?) throws -> Digest {
        // Not to be held up by what isn't a file.
        let file = try Descriptor(path, flags: O_NOFOLLOW | O_NONBLOCK)
        let size = try file.size()
        let digest =
            if let expected {
                expected
            } else {
                try Digest(size: size) { offset, buffer throws(SystemError) in try file.read(at: offset, into: buffer) }
            }
        try storeBlob(digest, size: size) { body in try file.forEachPiece { try body.append($0) } }
        return digest
    }
}

/// Files that hold the list of a key.
struct KeyFiles: ImportPhase {
    private let files: WalkedFiles
    private let key: @Sendable (String) throws(Refusal) -> Key

    /// - Parameter key: makes it of a file's path below the directory.
    init(
        in directory: String, goesDown: Bool, key: @escaping @Sendable (String) throws(Refusal) -> Key
    ) throws(SystemError) {
        files = try WalkedFiles(in: directory, goesDown: goesDown)
        self.key = key
    }

    func begin(_ importer: Importer) -> () throws -> Bool {
        return {
            try files.takeNext(importer.ledger) { name, path in
                let key = try self.key(name)
                let list = try contents(of: path, limit: importer.listLimit)
                try importer.storeList(list, under: key) { digest in
                    // The blobs came before; what was wrong with one was said then.
                    guard try !importer.holds(digest) else { return }
                    importer.ledger.noteAbsent("blob \(digest)", "named under \(key.text), and not there")
                }
            }
        }
    }

    private func contents(of path: String, limit: Int) throws -> [UInt8] {
        let file = try Descriptor(path, flags: O_NOFOLLOW | O_NONBLOCK)
        guard try file.size() <= limit else { throw UnfitItem("the list has more than \(limit) bytes") }
        return try file.contents()
    }
}

/// The files of a directory, which several threads take in turn.
struct WalkedFiles: Sendable {
    private let directory: String
    private let walk: Monitor<DirectoryWalk>

    init(in directory: String, goesDown: Bool) throws(SystemError) {
        self.directory = directory
        walk = Monitor(try DirectoryWalk(directory, goesDown: goesDown))
    }

    /// - Parameter work: is given the file's name below the directory, and its path.
    /// - Returns: false when none is left.
    func takeNext(_ ledger: ImportLedger, _ work: (_ name: String, _ path: String) throws -> Void) throws -> Bool {
        guard let item = try walk.wait(for: { .some(try $0.next()) }) else { return false }
        let path = "\(directory)/\(item.path)"
        try ledger.attempt(path) {
            guard item.isRegular else { throw UnfitItem("is no ordinary file") }
            try work(item.path, path)
        }
        return true
    }
}
