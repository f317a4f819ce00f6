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
        public fileprivate(set) var blobs = 0
        public fileprivate(set) var faults = 0
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
        let index = try BackupIndex(of: place)
        for generation in finished {
            sums.generations += 1
            do { try check(generation, index, &sums) } catch let error as BackupError {
                sums.faults += 1
                report(.damaged(error.description))
            }
        }
        return sums
    }

    private func check(_ generation: Generation, _ index: BackupIndex, _ sums: inout Sums) throws {
        let scratch = try ScratchDirectory()
        let manifest = try place.manifest(of: generation)
        try place.fetch(generation.dump, of: manifest.dump, to: "\(scratch.path)/database.dump")
        let list = try BackupList(of: generation, in: place, manifest, scratch)
        var absent = 0
        for shelf in UInt8.min...UInt8.max {
            let there = try index.blobs(on: shelf)
            try list.forEachBlob(on: shelf) { blob in
                sums.blobs += 1
                guard there[blob.digest] != blob.size else { return }
                absent += 1
                report(.absent(blob.digest))
            }
        }
        // What the store had lost already was reported when the backup was made.
        sums.faults += max(0, absent - manifest.absent)
    }

    private func hash(_ sums: inout Sums) throws {
        let directories = (UInt8.min...UInt8.max).map { "blobs/\(hex([$0]))" } + ["withdrawn"]
        for directory in directories {
            let names = try namesInDirectory("\(place.directory)/\(directory)")
            let blobs = names.compactMap { Digest($0) }.sorted { $0.description < $1.description }
            let paths = blobs.map { ($0, "\(place.directory)/\(directory)/\($0)") }
            try ReadAhead.hash(paths) { file in
                guard file.presence != .intact else { return }
                sums.faults += 1
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
