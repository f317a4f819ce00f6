import Foundation
public import Postgres
public import ShaCache
import System

/// What a backup came to.
public struct BackupSums: Equatable, Sendable {
    /// Blobs that were copied.
    public internal(set) var copied = 0
    /// Of these, in bytes.
    public internal(set) var bytes = 0
    /// Blobs that an earlier backup had copied.
    public internal(set) var present = 0
    /// Blobs that the store has lost or has other bytes of, and that no earlier backup has.
    public internal(set) var absent = 0
    /// Of what no backup there names any more, when that was asked for.
    public internal(set) var removed = 0
}

/// Copies a cache to another place: the database first, then the journal, then the blobs, while nothing is deleted. So the
/// blobs hold everything that the rows and the journal name. Uploads, withdrawals and their lifting go on meanwhile.
///
/// Blobs are copied once, however many backups are made. A backup that is stopped, however that comes about, is not
/// finished, and harms none of those before it; the next one goes on with its blobs. Of one thread.
public final class Backup {
    private let blobs: BlobRepository
    private var files: LocalBlobs { blobs.files }
    private var session: Session { blobs.session }
    private let owner: ConnectionOptions
    private let place: BackupPlace
    private let report: (Event) -> Void
    private var sums = BackupSums() {
        didSet { report(.progress(sums)) }
    }

    public enum Event {
        case progress(BackupSums)
        /// It isn't in the backup, and why.
        case absent(Digest, String)
    }

    /// What is to be done beside.
    public struct Options: Sendable {
        /// How many finished backups are kept, this one among them; nil: all.
        public var kept: Int?
        /// Whether blobs are removed that no backup there names any more.
        public var prunes = false
        /// Absolute paths of what else is copied.
        public var others: [String] = []

        public init() {}
    }

    /// - Parameters:
    ///   - owner: of the schema, as whom it is dumped.
    ///   - report: called with what comes up meanwhile.
    public init(
        of store: LocalBlobs, _ session: Session, as owner: ConnectionOptions, to place: BackupPlace,
        report: @escaping (Event) -> Void
    ) {
        blobs = BlobRepository(store, session)
        self.owner = owner
        self.place = place
        self.report = report
    }

    /// Keeps a collection from deleting, and another backup from beginning, as long as the session lasts.
    ///
    /// - Returns: false while one of them runs.
    public func pauseDeletion() throws -> Bool { try session.tryLock(.deletion) }

    /// After `pauseDeletion`.
    ///
    /// - Throws: `BackupError`, `ProgramError`, `SystemError`, `DatabaseError`, `StoreError`.
    public func run(_ options: Options, by actor: String) throws -> (name: String, sums: BackupSums) {
        let sessions = session.statistics.sessions
        // Where nothing is mounted, all would seem to be lost; and pg_dump says little of an empty database.
        _ = try files.owner()
        let schema = try Migrations(session).newestApplied() ?? 0
        let skeleton = try BackupSkeleton()
        try place.prepare(skeleton)
        try readInterrupted()
        let earlier = try place.generations()
        for unfinished in earlier where !unfinished.isFinished {
            try place.remove(generation: unfinished.name, skeleton)
        }
        let generation = Generation(name: try newName(besides: earlier))
        let scratch = try ScratchDirectory()
        let dump = try dumpDatabase(scratch)
        try copyJournal(to: generation, sharing: earlier.last { $0.isFinished && $0.hasJournal })
        for path in options.others { try place.send(directory: path, to: generation.files, isRelative: true) }
        let list = try copyBlobs(listingIn: "\(scratch.path)/blobs")
        try place.send(directory: scratch.path, to: generation.path)
        try requireSession(sessions)
        try finish(generation, dump, list, schema: schema)
        try removeOld(options, earlier.filter(\.isFinished) + [generation], skeleton)
        try session.audit.append("backup", of: place.name, by: actor, detail: generation.name)
        return (generation.name, sums)
    }

    private func newName(besides earlier: [Generation]) throws -> String {
        while true {
            let name = try session.connection.run(
                #"SELECT to_char(clock_timestamp(), 'YYYY-MM-DD"T"HH24MISS"Z"')"#
            ).first!.text(0)!
            guard earlier.contains(where: { $0.name >= name }) else { return name }
            guard earlier.last!.name.prefix(15) == name.prefix(15) else {
                throw BackupError("\(place.name): has a backup of the future, \(earlier.last!.name)")
            }
            usleep(200_000)
        }
    }

    /// It is sent last, since only then it is known that the blobs find room.
    private func dumpDatabase(_ scratch: ScratchDirectory) throws -> Manifest.File {
        let file = "\(scratch.path)/database.dump"
        try DatabaseDump(of: owner, session).dump(to: file)
        return try Manifest.File(of: file)
    }

    /// A file of it may be compressed while it is copied, and is then there under neither name.
    private func copyJournal(to generation: Generation, sharing earlier: Generation?) throws {
        let journal = "\(files.directory)/journal"
        guard access(journal, F_OK) == 0 else { return }
        for attempt in 1... {
            do {
                return try place.send(directory: journal, to: generation.journal, sharing: earlier?.journal)
            } catch let error as ProgramError where error.code == 24 && attempt < 3 {}
        }
    }

    /// A session that ended has lost its lock: blobs may have been deleted since.
    private func requireSession(_ sessions: Int) throws {
        _ = try session.reading { try session.connection.run("SELECT 1") }
        guard session.statistics.sessions == sessions else {
            throw BackupError("the session with the database ended: the next backup goes on with the blobs")
        }
    }

    private func finish(
        _ generation: Generation, _ dump: Manifest.File, _ list: BlobList, schema: Int
    ) throws {
        let manifest = Manifest(
            format: Manifest.format, version: Version.current, host: files.host,
            schema: schema,
            serverVersion: try DatabaseDump(of: owner, session).version,
            rights: try DatabaseRights(session: session).granted(), dump: dump, list: list.file, blobs: list.blobs,
            bytes: list.bytes, absent: sums.absent)
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        let scratch = try ScratchDirectory()
        let file = "\(scratch.path)/manifest.json"
        let bytes = Array(try encoder.encode(manifest))
        try bytes.withUnsafeBytes { bytes in
            try Descriptor(file, flags: O_WRONLY | O_CREAT | O_EXCL, mode: 0o600).writeAll(bytes)
        }
        try place.synchronize()
        try place.send(file: file, to: generation.manifest)
        try place.synchronize()
    }

    private func removeOld(_ options: Options, _ finished: [Generation], _ skeleton: BackupSkeleton) throws {
        let kept = finished.suffix(options.kept ?? finished.count)
        for old in finished.dropLast(kept.count) { try place.remove(generation: old.name, skeleton) }
        if options.prunes { sums.removed = try BackupPruning(of: place, keeping: Array(kept)).run(skeleton) }
    }

    // MARK: Blobs

    /// What the rows name.
    private struct BlobList {
        let file: Manifest.File
        var blobs = 0
        var bytes = 0
    }

    private func copyBlobs(listingIn path: String) throws -> BlobList {
        let index = try BackupIndex(of: place)
        var (blobs, bytes) = (0, 0)
        var batch = BlobBatch()
        do {
            let list = try Descriptor(path, flags: O_WRONLY | O_CREAT | O_EXCL, mode: 0o600)
            for shelf in UInt8.min...UInt8.max {
                let there = try index.blobs(on: shelf)
                var records: [UInt8] = []
                try BlobRows(session: session).forEachBlob(on: shelf) { row in
                    let blob = BlobRecord(digest: row.digest, size: row.size)
                    records += blob.bytes
                    (blobs, bytes) = (blobs + 1, bytes + row.size)
                    guard there[row.digest] != row.size else {
                        sums.present += 1
                        return
                    }
                    batch.add(blob)
                    if batch.isFull { try copy(batch.takeAll()) }
                }
                try records.withUnsafeBytes { try list.writeAll($0) }
            }
        }
        try copy(batch.takeAll())
        unlink(unread)
        return BlobList(file: try Manifest.File(of: path), blobs: blobs, bytes: bytes)
    }

    /// A blob that is withdrawn, or whose withdrawal is lifted, moves meanwhile, and is looked for again.
    private func copy(_ blobs: [BlobRecord]) throws {
        var left = blobs
        for _ in 1...3 where !left.isEmpty { left = try copyOnce(left) }
        for blob in left { add(absent: blob.digest, "is not in the store") }
    }

    /// - Returns: those that were not found.
    private func copyOnce(_ blobs: [BlobRecord]) throws -> [BlobRecord] {
        var found: [(path: String, blob: BlobRecord)] = []
        var lost: [BlobRecord] = []
        for blob in blobs {
            guard let path = files.pathInStore(of: blob.digest) else {
                lost.append(blob)
                continue
            }
            if let damage = try damage(of: blob, at: path) {
                add(absent: blob.digest, damage)
            } else {
                found.append((path, blob))
            }
        }
        if place.host == nil { try noteUnread(found.map(\.blob)) }
        let sent = try place.send(found.map(\.path), from: files.directory)
        lost += found.filter { !sent.contains($0.path) }.map(\.blob)
        try accept(found.filter { sent.contains($0.path) })
        return lost
    }

    /// What is wrong with a file that is to be sent; nil: nothing. What goes to another host is hashed before, through the
    /// memory that it is then sent from; what is copied here is hashed where it came to (`accept`).
    private func damage(of blob: BlobRecord, at path: String) throws -> String? {
        let path = "\(files.directory)/\(path)"
        var status = stat()
        // Moved meanwhile.
        guard lstat(path, &status) == 0 else { return nil }
        guard Int(status.st_size) == blob.size else {
            return LocalBlobs.damage(size: Int(status.st_size), stored: blob.size)
        }
        guard place.host != nil, case .damaged(let damage) = try files.verifiedPresence(of: blob.digest, at: path)
        else {
            return nil
        }
        return damage
    }

    private func accept(_ copies: [(path: String, blob: BlobRecord)]) throws {
        var damaged: Set<Digest> = []
        if place.host == nil {
            try removeDamaged(copies.map { ($0.blob.digest, $0.path) }) { file in
                damaged.insert(file.digest)
                add(absent: file.digest, file.presence.damage)
            }
        }
        for copy in copies where !damaged.contains(copy.blob.digest) {
            sums.copied += 1
            sums.bytes += copy.blob.size
        }
    }

    /// Reads what was copied here. Damaged bytes are not kept: they would be taken for the right ones.
    private func removeDamaged(
        _ copies: [(digest: Digest, path: String)], _ body: (ReadAhead.File) -> Void = { _ in }
    ) throws {
        try ReadAhead().hash(copies.map { ($0.digest, "\(place.directory)/\($0.path)") }) { file in
            guard file.presence != .intact else { return }
            unlink(file.path)
            body(file)
        }
    }

    /// Names the blobs that are being copied here, one a line: those of a backup that was killed, the next one reads.
    private var unread: String { "\(place.directory)/unread" }

    private func noteUnread(_ blobs: [BlobRecord]) throws {
        let list = try Descriptor(unread, flags: O_WRONLY | O_CREAT | O_TRUNC, mode: 0o600)
        try Array(blobs.map { "\($0.digest)\n" }.joined().utf8).withUnsafeBytes { try list.writeAll($0) }
        try list.synchronize()
        try Descriptor(place.directory, flags: O_DIRECTORY).synchronize()
    }

    private func readInterrupted() throws {
        guard place.host == nil, access(unread, F_OK) == 0 else { return }
        let names = try String(decoding: contentsOfFile(unread), as: UTF8.self).split(separator: "\n")
        try removeDamaged(
            names.compactMap { Digest(String($0)) }.flatMap { digest in
                [(digest, "blobs/\(LocalBlobs.place(of: digest))"), (digest, "withdrawn/\(digest)")]
            })
        unlink(unread)
    }

    private func add(absent digest: Digest, _ reason: String) {
        report(.absent(digest, reason))
        sums.absent += 1
    }
}

extension LocalBlobs {
    /// Where a blob's file lies, from the store on; nil when there is none.
    func pathInStore(of digest: Digest) -> String? {
        let (visible, hidden) = ("blobs/\(Self.place(of: digest))", "withdrawn/\(digest)")
        // The first again: it may have moved between.
        return [visible, hidden, visible].first { isThere("\(directory)/\($0)") }
    }

    private func isThere(_ path: String) -> Bool {
        var status = stat()
        return lstat(path, &status) == 0 && status.kind == S_IFREG
    }
}

extension LocalBlobs.Presence {
    /// What is wrong with it, for people.
    var damage: String {
        switch self {
        case .damaged(let damage): damage
        case .absent: "is not there any more"
        case .intact, .unconfirmed: "is intact"
        }
    }
}
