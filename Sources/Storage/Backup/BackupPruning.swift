import ShaCache
import System

/// Removes the blobs from a place that none of its backups names.
struct BackupPruning {
    private let place: BackupPlace
    private let generations: [Generation]

    /// - Parameter generations: all that are there. No backup is made there meanwhile.
    init(of place: BackupPlace, keeping generations: [Generation]) {
        (self.place, self.generations) = (place, generations)
    }

    /// - Returns: how many were removed.
    func run(_ skeleton: BackupSkeleton) throws -> Int {
        let scratch = try ScratchDirectory()
        let lists = try generations.map { try BackupList(of: $0, in: place, place.manifest(of: $0), scratch) }
        let index = try BackupIndex(of: place)
        var removed = 0
        for shelf in UInt8.min...UInt8.max {
            var unnamed = try index.blobs(on: shelf)
            for list in lists { try list.forEachBlob(on: shelf) { unnamed[$0.digest] = nil } }
            try place.remove(unnamed.keys.map(index.path), skeleton)
            removed += unnamed.count
        }
        return removed
    }
}

/// The blobs that a backup names, shelf by shelf.
final class BackupList {
    private let file: Descriptor
    private let size: Int
    /// Of the first that wasn't read yet.
    private var offset = 0

    /// - Throws: `BackupError` when it isn't as it was written.
    init(
        of generation: Generation, in place: BackupPlace, _ manifest: Manifest, _ scratch: ScratchDirectory
    ) throws {
        let path = "\(scratch.path)/blobs-\(generation.name)"
        let expected = manifest.list
        try place.fetch(generation.blobs, of: expected, to: path)
        file = try Descriptor(path)
        size = expected.bytes
    }

    /// - Parameter shelf: the one behind that of the last call, or the first.
    func forEachBlob(on shelf: UInt8, _ body: (BlobRecord) throws -> Void) throws {
        let end = try end(of: shelf)
        try BlobRecord.forEach(in: file, from: offset..<end, body)
        offset = end
    }

    /// Where the records of a shelf end: they are in order.
    private func end(of shelf: UInt8) throws -> Int {
        var (low, high) = (offset / BlobRecord.length, size / BlobRecord.length)
        while low < high {
            let middle = (low + high) / 2
            var first: UInt8 = 0
            _ = try withUnsafeMutableBytes(of: &first) { try file.read(at: middle * BlobRecord.length, into: $0) }
            if first <= shelf { low = middle + 1 } else { high = middle }
        }
        return low * BlobRecord.length
    }
}
