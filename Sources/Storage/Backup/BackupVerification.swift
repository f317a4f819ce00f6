import Glibc
public import ShaCache
import System

/// Looks whether a backup is whole, without the cache that it is of.
public struct BackupVerification {
    private let place: BackupPlace
    private let report: (Event) -> Void

    public enum Event {
        /// A file of a generation isn't as it was written, or is missing.
        case damaged(String)
        /// A blob that a backup names isn't there, or has another size.
        case absent(Digest)
        /// A file had other bytes than its name says; it was moved to the directory `damaged` of the place, so that the
        /// next backup copies the blob again.
        case hasOtherBytes(Digest)
    }

    /// What was found.
    public struct Sums: Sendable {
        public fileprivate(set) var generations = 0
        /// Of these, those that can't be restored, and stay so.
        public fileprivate(set) var damagedGenerations = 0
        /// That they name, each once.
        public fileprivate(set) var blobs = 0
        /// Blobs that are missing, or were damaged, since they were copied.
        public fileprivate(set) var lostBlobs = 0
    }

    public init(of place: BackupPlace, report: @escaping (Event) -> Void) {
        (self.place, self.report) = (place, report)
    }

    /// - Parameter isHashing: reads all blobs, past the page cache; only of a place on this host.
    /// - Throws: `BackupError` also when there is no finished backup.
    public func run(isHashing: Bool) throws -> Sums {
        guard !isHashing || place.host == nil else {
            throw BackupError("--deep reads the blobs where they lie: call it on that host, with the directory")
        }
        let finished = try place.generations().filter(\.isFinished)
        guard !finished.isEmpty else { throw BackupError("\(place.name): has no finished backup") }
        var sums = Sums()
        if isHashing { try hash(&sums) }
        let scratch = try ScratchDirectory()
        var whole: [NamedBlobs] = []
        for generation in finished {
            sums.generations += 1
            do { whole.append(try readFiles(of: generation, scratch)) } catch let error as BackupError {
                sums.damagedGenerations += 1
                report(.damaged(error.description))
            }
        }
        try lookForBlobs(of: whole, &sums)
        return sums
    }

    /// What a generation names.
    private struct NamedBlobs {
        let list: BackupList
        /// How many of these the store had lost already: that was reported when the backup was made.
        let absent: Int
    }

    private func readFiles(of generation: Generation, _ scratch: ScratchDirectory) throws -> NamedBlobs {
        let manifest = try place.manifest(of: generation)
        let dump = "\(scratch.path)/database.dump"
        defer { unlink(dump) }
        try place.fetch(generation.dump, of: manifest.dump, to: dump)
        return NamedBlobs(list: try BackupList(of: generation, in: place, manifest, scratch), absent: manifest.absent)
    }

    /// Each once, however many generations name it: all lists are in the same order.
    private func lookForBlobs(of generations: [NamedBlobs], _ sums: inout Sums) throws {
        let index = try BackupIndex(of: place)
        var absent = 0
        var unexpected = generations.map { -$0.absent }
        for shelf in UInt8.min...UInt8.max {
            let there = try index.blobs(on: shelf)
            var named: Set<Digest> = []
            for (number, generation) in generations.enumerated() {
                try generation.list.forEachBlob(on: shelf) { blob in
                    let isNew = named.insert(blob.digest).inserted
                    guard there[blob.digest] != blob.size else { return }
                    unexpected[number] += 1
                    guard isNew else { return }
                    absent += 1
                    report(.absent(blob.digest))
                }
            }
            sums.blobs += named.count
        }
        sums.lostBlobs += min(absent, unexpected.reduce(0) { $0 + max(0, $1) })
    }

    private func hash(_ sums: inout Sums) throws {
        let directories = (UInt8.min...UInt8.max).map { "blobs/\(hex([$0]))" } + ["withdrawn"]
        for directory in directories {
            let names = try namesInDirectory("\(place.directory)/\(directory)")
            let blobs = names.compactMap { Digest($0) }.sorted { $0.description < $1.description }
            let paths = blobs.map { ($0, "\(place.directory)/\(directory)/\($0)") }
            try ReadAhead().hash(paths) { file in
                guard file.presence != .intact else { return }
                sums.lostBlobs += 1
                try setAside(file.digest, from: directory)
                report(.hasOtherBytes(file.digest))
            }
        }
    }

    private func setAside(_ digest: Digest, from directory: String) throws {
        let aside = "\(place.directory)/damaged"
        if mkdir(aside, 0o700) != 0, errno != EEXIST { throw SystemError("make", aside) }
        let rename = try DurableRename(
            from: Descriptor("\(place.directory)/\(directory)", flags: O_DIRECTORY),
            to: Descriptor(aside, flags: O_DIRECTORY))
        _ = try rename.moveIfThere("\(digest)", to: "\(digest)")
    }
}
