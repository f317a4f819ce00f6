import Glibc
import System

/// One reading of an archive, member by member, into a directory.
struct Unpacking: ~Copyable {
    private let name: Path
    private let reader: TarReader
    private let directory: CInt
    private let replacements: [Path: [UInt8]?]
    private var tree: TreeWriter
    private var summary = ArchiveExtractor.ExtractionSummary()

    /// - Parameter directory: open as long as this is in use.
    init(name: Path, reader: TarReader, into directory: CInt, owner: Owner?, replacements: [Path: [UInt8]?]) {
        self.name = name
        self.reader = reader
        self.directory = directory
        self.replacements = replacements
        tree = TreeWriter(directory: directory, owner: owner)
    }

    mutating func add(_ member: TarMember) throws {
        guard let place = try member.extractionPath(below: name), !isReplaced(place) else { return }
        switch member.kind {
        case .directory: try tree.makeDirectory(place, member.attributes)
        case .file: try addFile(member, at: place)
        case .symbolicLink(let target): try tree.noteLink(place, to: target, member.attributes)
        case .fifo: try tree.makeFIFO(place, member.attributes)
        case .hardLink(let target):
            try tree.makeHardLink(place, to: try member.extractionPath(ofTarget: target, below: name))
        case .other(let type): throw member.refusal("is a \(kind(type))")
        }
        summary.members += 1
    }

    private func isReplaced(_ place: Path) -> Bool {
        place.components.dropFirst().first.map { replacements.keys.contains(Path([$0])) } ?? false
    }

    private mutating func addReplacements() throws {
        for case (let file, let contents?) in replacements {
            let place = name.appending(file)
            try tree.makeFile(place, .replacement) { descriptor in
                try contents.withUnsafeBytes { bytes in try asArchiveError(try descriptor.writeAll(bytes)) }
            }
        }
    }

    private mutating func addFile(_ member: TarMember, at place: Path) throws {
        // Not the size that the header gives: a sum of those could be more than a number holds.
        var count = 0
        try tree.makeFile(place, member.attributes) { file in
            try reader.readContents { bytes, offset in
                try asArchiveError(try file.writeAll(bytes, at: offset))
                count += bytes.count
            }
            // A hole at the end has no bytes to write.
            try asArchiveError(try file.truncate(to: member.size))
        }
        summary.bytes += count
    }

    /// - Parameter locations: where the tree will be, by each path that leads there.
    consuming func finish(at locations: [Path]) throws -> ArchiveExtractor.ExtractionSummary {
        guard summary.members > 0 else { throw ArchiveError.malformed("it has no \(name)/") }
        try addReplacements()
        let symlinks = SymlinkPolicy(top: try Descriptor(name, in: directory, flags: O_DIRECTORY), locations: locations)
        try tree.finish { link, target in symlinks.escapes(target, from: Array(link.components.dropFirst().dropLast()))
        }
        return summary
    }
}
