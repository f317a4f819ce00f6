import CLinux
import Glibc
public import Postgres
public import ShaCache
import System

/// What a restore came to.
public struct RestoreSums: Equatable, Sendable {
    /// Blobs that were fetched, and are as their names say.
    public internal(set) var fetched = 0
    /// Of these, in bytes.
    public internal(set) var bytes = 0
    /// Blobs that an earlier restore of the same backup had fetched.
    public internal(set) var present = 0
    /// Blobs that the backup has not, or has other bytes of.
    public internal(set) var absent = 0
}

/// Makes an empty store and an empty database what they were when a backup was made: the blobs first, each of which is
/// hashed, then the database, and at last each file goes where its row has it. One that is stopped is simply repeated. Of
/// one thread, while no worker and no nginx serves the store.
public final class Restore {
    private let files: LocalBlobs
    private let place: BackupPlace
    private let report: (Event) -> Void
    private var sums = RestoreSums() {
        didSet { report(.progress(sums)) }
    }

    public enum Event {
        case progress(RestoreSums)
        /// It isn't in the store, and why.
        case absent(Digest, String)
    }

    public let generation: Generation
    public let manifest: Manifest

    /// - Parameters:
    ///   - name: of the backup; nil: the newest that is finished.
    ///   - report: called with what comes up meanwhile.
    /// - Throws: `BackupError` also when a newer release of these programs made it.
    public init(
        _ name: String?, from place: BackupPlace, to files: LocalBlobs, report: @escaping (Event) -> Void
    ) throws {
        (self.files, self.place, self.report) = (files, place, report)
        generation = try place.finished(name)
        manifest = try place.manifest(of: generation)
        guard manifest.schema <= Migrations.needed else {
            throw BackupError(
                "\(place.name): the backup \(generation.name) is of ShaCache \(manifest.version): install that first")
        }
    }

    /// Calls `body` while no other restore is at work in a store.
    ///
    /// - Throws: `BackupError` while another one is.
    public static func alone<Result>(in files: LocalBlobs, _ body: () throws -> Result) throws -> Result {
        guard let result = try files.locking(files.directory, "the store's directory", body) else {
            throw BackupError("\(files.directory): another restore is at work here: wait for its end")
        }
        return result
    }

    // MARK: The store

    private var mark: String { "\(files.directory)/\(LocalBlobs.restoreMark)" }

    /// - Parameter isWithJournal: for a database that is to be rebuilt from it. What it has behind the dump would be
    ///   taken for the state of one that is restored, whose numbers go on from there.
    /// - Throws: `BackupError` when the store has blobs that no restore of this backup has put there, or has no room.
    public func restoreStore(isWithJournal: Bool) throws -> RestoreSums {
        try checkStoreIsOurs()
        let owner = try StoreOwner(of: files.directory)
        let scratch = try ScratchDirectory()
        let list = try BackupList(of: generation, in: place, manifest, scratch)
        try files.prepare(for: owner)
        try writeMark()
        try checkRoom()
        var missing = BlobBatch()
        for shelf in UInt8.min...UInt8.max {
            try list.forEachBlob(on: shelf) { blob in
                guard !isThere(blob) else {
                    sums.present += 1
                    return
                }
                missing.add(blob)
                if missing.isFull { try fetch(missing.takeAll(), owner) }
            }
        }
        try fetch(missing.takeAll(), owner)
        if isWithJournal, generation.hasJournal { try restoreJournal(owner) }
        try files.synchronizeAll()
        return sums
    }

    /// After all else.
    public func removeMark() { unlink(mark) }

    private func checkStoreIsOurs() throws {
        if let marked = try? contentsOfFile(mark) {
            guard String(decoding: marked, as: UTF8.self) == generation.name else {
                throw BackupError(
                    """
                    \(files.directory): a restore of \(String(decoding: marked, as: UTF8.self)) was begun here
                    hint: name it with --backup, or empty the directory
                    """)
            }
            return
        }
        for shelf in files.shelves + ["withdrawn", "quarantine", "trash"] {
            let names = (try? namesInDirectory("\(files.directory)/\(shelf)")) ?? []
            guard names.isEmpty else {
                throw BackupError(
                    "\(files.directory): has blobs already, and is left alone\nhint: --database-only restores no blobs")
            }
        }
    }

    private func writeMark() throws {
        let file = try Descriptor(mark, flags: O_WRONLY | O_CREAT | O_TRUNC, mode: 0o600)
        try Array(generation.name.utf8).withUnsafeBytes { try file.writeAll($0) }
        try file.synchronize()
    }

    private func checkRoom() throws {
        let free = try files.free()
        guard try !free.hasRoom(for: manifest.bytes - presentBytes()) else { return }
        throw BackupError("\(files.directory): has no room for the \(manifest.bytes) bytes of \(manifest.blobs) blobs")
    }

    /// Of a restore that was begun.
    private func presentBytes() throws -> Int {
        var bytes = 0
        for shelf in files.shelves {
            try Directory("\(files.directory)/\(shelf)").forEachItem { _, status in bytes += Int(status.st_size) }
        }
        return bytes
    }

    /// One that has its name, its size and the attribute with it was hashed.
    private func isThere(_ blob: BlobRecord) -> Bool {
        guard let path = files.pathInStore(of: blob.digest),
            let file = try? Descriptor(inStore: "\(files.directory)/\(path)", named: "a blob")
        else { return false }
        return (try? file.size()) == blob.size && (file.storedSize == blob.size || !file.canStoreSize)
    }

    private func fetch(_ blobs: [BlobRecord], _ owner: StoreOwner) throws {
        guard !blobs.isEmpty else { return }
        let paths = blobs.flatMap { ["blobs/\(LocalBlobs.place(of: $0.digest))", "withdrawn/\($0.digest)"] }
        let fetched = try place.fetch(paths, to: files.directory, temporary: files.spool)
        let found = blobs.compactMap { blob -> (Digest, String)? in
            let candidates = ["blobs/\(LocalBlobs.place(of: blob.digest))", "withdrawn/\(blob.digest)"]
            guard let path = candidates.first(where: fetched.contains) else {
                add(absent: blob.digest, "is not in the backup")
                return nil
            }
            // Of one that lies at both places there, one is enough: reconciling moves it.
            if candidates.allSatisfy(fetched.contains) { unlink("\(files.directory)/\(candidates[1])") }
            return (blob.digest, "\(files.directory)/\(path)")
        }
        let places = Dictionary(uniqueKeysWithValues: found)
        try ReadAhead().hash(found) { file in
            let path = places[file.digest]!
            guard file.presence == .intact else {
                unlink(path)
                return add(absent: file.digest, file.presence.damage)
            }
            try files.adopt(path, size: file.bytes, owner)
            sums.fetched += 1
            sums.bytes += file.bytes
        }
    }

    private func add(absent digest: Digest, _ reason: String) {
        report(.absent(digest, reason))
        sums.absent += 1
    }

    private func restoreJournal(_ owner: StoreOwner) throws {
        let journal = "\(files.directory)/journal"
        try place.fetch(directory: generation.journal, to: journal)
        try files.give(directory: journal, to: owner)
    }

    // MARK: The database

    /// - Throws: `BackupError` unless the database is there, and has nothing of ShaCache in it.
    public static func requireEmptyDatabase(_ session: Session) throws {
        let found = try session.connection.run(
            "SELECT string_agg(nspname, ', ') FROM pg_namespace WHERE nspname IN ('shacache', 'report', 'page')"
        ).first?.text(0)
        guard let found else { return }
        throw BackupError(
            """
            the database has the schema \(found) already, and is left alone
            hint: dropdb and createdb, as install.md has it, make an empty one; it takes no migrate
            """)
    }

    /// - Throws: `BackupError` when the store has a journal, which is that of a later state.
    public func requireNoJournal() throws {
        let journal = "\(files.directory)/journal"
        guard let names = try? namesInDirectory(journal), !names.isEmpty else { return }
        throw BackupError(
            """
            \(journal): is the journal of a later state of the database
            hint: shacache-admin rebuild loses less than this; or move it out of the store
            """)
    }

    /// As the owner of the schema.
    ///
    /// - Parameter session: as the owner, too.
    public func restoreDatabase(_ session: Session, as owner: ConnectionOptions) throws {
        try Self.requireEmptyDatabase(session)
        let scratch = try ScratchDirectory()
        let file = "\(scratch.path)/database.dump"
        try place.fetch(generation.dump, of: manifest.dump, to: file)
        // Before the tables: what was restored in part is empty still, and is restored again.
        try DatabaseRights(session: session).restore(manifest.rights)
        try DatabaseDump(of: owner, session).restore(from: file)
        try Feed(session).startAnew()
    }
}

extension StoreOwner {
    /// Whose a directory is, and who may do what with it.
    init(of directory: String) throws {
        self.init(try Descriptor(directory, flags: O_DIRECTORY).status())
    }
}

extension LocalBlobs {
    /// A file that is in the store as long as a restore of it isn't through. It has the backup's name.
    static let restoreMark = "restoring"

    /// Makes a file that was hashed a blob's, as an upload leaves it.
    ///
    /// - Parameter size: in bytes.
    func adopt(_ path: String, size: Int, _ owner: StoreOwner) throws {
        let file = try Descriptor(inStore: path, named: "a blob")
        // Writing an attribute takes the write bit (xattr(7)).
        try asStoreError(try file.changeMode(0o640))
        file.setStoredSize(size)
        try give(file, to: owner, mode: 0o440)
    }

    /// Gives a directory and the files in it to the store's owner.
    func give(directory path: String, to owner: StoreOwner) throws {
        for name in try namesInDirectory(path) {
            try give(Descriptor(inStore: "\(path)/\(name)", named: name), to: owner, mode: 0o640)
        }
        try give(openDirectory(path, "a directory of the store"), to: owner, mode: owner.mode)
    }

    func synchronizeAll() throws {
        let opened = try openDirectory(directory, "the store")
        try asStoreError(try systemCall("write the store to the disk") { syncfs(opened.number) })
    }
}
