import Glibc
import Gzip
import System

/// What becomes of a file that no process appends to any more: it is compressed, in members of whole lines.
///
/// A crash leaves both files, or a compressed one that is still called `.new`: the next run makes that anew. Both have the
/// same records, and none is read differently when it is there twice.
extension Journal {
    private static let unfinished = ".new"

    /// In bytes, before it is compressed. What is damaged in a compressed file costs as much.
    private static let memberSize = 128 << 10

    /// Whether it is the name of a file that `JournalFile` or `compressClosed` made.
    static func isFileName(_ name: String) -> Bool {
        [JournalFile.suffix, JournalFile.compressedSuffix, unfinished].contains(where: name.hasSuffix)
    }

    /// The names of the files, in order.
    ///
    /// - Throws: `StoreError` when something has such a name that is no file: what it stands for can't be left out.
    static func fileNames(in files: LocalBlobs) throws -> [String] {
        guard let directory = try Directory(inStore: files.journalDirectory) else { return [] }
        let names = try directory.names().filter {
            $0.hasSuffix(JournalFile.suffix) || $0.hasSuffix(JournalFile.compressedSuffix)
        }.sorted()
        for name in names {
            var status = stat()
            // It may have been compressed meanwhile.
            guard lstat("\(files.journalDirectory)/\(name)", &status) == 0, status.kind != S_IFREG else { continue }
            throw StoreError(.broken, "journal/\(name) is not a file: put the file there, or move this elsewhere")
        }
        return names
    }

    /// Compresses the files that no process has open.
    ///
    /// - Returns: how many.
    public func compressClosed() throws -> Int {
        try files.makeJournalDirectory()
        return try files.locking(files.journalDirectory, "the journal") {
            try Self.fileNames(in: files).count { try $0.hasSuffix(JournalFile.suffix) && compress($0) }
        } ?? 0
    }

    /// - Returns: false when a process has it open.
    private func compress(_ name: String) throws -> Bool {
        let path = "\(files.journalDirectory)/\(name)"
        let file = try Descriptor(inStore: path, named: "a file of the journal")
        // Until this is through, and the name is gone: so nobody can have made it and not yet locked it.
        guard flock(file.number, LOCK_EX | LOCK_NB) == 0 else { return false }
        let stem = path.dropLast(JournalFile.suffix.count)
        let (compressed, unfinished) = (stem + JournalFile.compressedSuffix, stem + Self.unfinished)
        unlink(String(unfinished))
        let output = try Descriptor(
            inStore: String(unfinished), flags: O_RDWR | O_CREAT | O_EXCL, mode: 0o640,
            named: "a compressed file of the journal")
        try files.giveToOwner(output, mode: 0o640)
        try Self.compress(file, into: output)
        let directory = try files.openDirectory(files.journalDirectory, "the journal")
        try files.notingFailedSynchronization { () throws(SystemError) in
            try output.synchronize()
            try systemCall("rename a file of the journal") { rename(String(unfinished), String(compressed)) }
            try directory.synchronize()
        }
        // What can't be read again is no copy.
        guard try Self.extent(of: path) == Self.extent(of: String(compressed)) else {
            throw StoreError(.broken, "a compressed file of the journal has other records than it was made of")
        }
        unlink(path)
        try files.notingFailedSynchronization { () throws(SystemError) in try directory.synchronize() }
        return true
    }

    private static func compress(_ file: borrowing Descriptor, into output: borrowing Descriptor) throws {
        let number = output.number
        let write = { (lines: ArraySlice<UInt8>) in
            let gzip = try ParallelGzip(threads: 1, level: 6) {
                try writeAll($0, to: number, named: "a compressed file of the journal")
            }
            try lines.withUnsafeBytes(gzip.write)
            try gzip.finish()
        }
        var rest: [UInt8] = []
        try file.forEachPiece { piece in
            rest.append(contentsOf: piece)
            while rest.count >= memberSize,
                let end = rest[(memberSize - 1)...].firstIndex(of: UInt8(ascii: "\n"))
            {
                try write(rest[...end])
                rest.removeFirst(end + 1)
            }
        }
        if !rest.isEmpty { try write(rest[...]) }
    }

    /// How many records with the right checksum a file has, and how many bytes they have.
    private static func extent(of path: String) throws -> [Int] {
        var (records, bytes) = (0, 0)
        _ = try JournalReader.read(path) {
            records += 1
            bytes += $1.count
        }
        return [records, bytes]
    }
}
