import Foundation
import OpenSSL
import ShaCache
import System

/// What one backup has by itself, beside the blobs that all share.
///
///     PLACE/generations/NAME/database.dump   pg_dump's, in its custom format
///     PLACE/generations/NAME/blobs           a record for each blob that the rows name, in order (`BlobRecord`)
///     PLACE/generations/NAME/journal/        the store's
///     PLACE/generations/NAME/files/          what else was asked for, by its whole path
///     PLACE/generations/NAME/manifest.json   the last that is written: without it, a backup isn't finished
public struct Generation: Sendable {
    /// When it was begun, in UTC: `2026-11-29T203500Z`.
    public let name: String
    public internal(set) var isFinished = false
    var hasJournal = false

    var path: String { "generations/\(name)" }
    var manifest: String { "\(path)/manifest.json" }
    var dump: String { "\(path)/database.dump" }
    var blobs: String { "\(path)/blobs" }
    var journal: String { "\(path)/journal" }
    var files: String { "\(path)/files" }

    fileprivate static func isName(_ text: some StringProtocol) -> Bool {
        String(text).wholeMatch(of: /[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{6}Z/) != nil
    }
}

/// What a finished backup says of itself.
public struct Manifest: Codable, Sendable {
    struct File: Codable {
        let bytes: Int
        let sha256: String
    }

    /// Of this description and of what it describes.
    static let format = 1

    let format: Int
    /// The version of the program that made it.
    public let version: String
    public let host: String
    /// The number of the newest migration that the database had.
    let schema: Int
    /// Of the database's server.
    let serverVersion: String
    /// Who may do what with the database itself, which is no part of its dump: role and right.
    let rights: [[String]]
    let dump: File
    let list: File
    /// What the rows name.
    public let blobs: Int
    public let bytes: Int
    /// Of those, how many the store had lost, or had other bytes of, and the backup has no older copy.
    public let absent: Int
}

extension BackupPlace {
    /// The oldest first; none also where no backup was ever made.
    ///
    /// - Throws: `BackupError` when there is no such place.
    public func generations() throws -> [Generation] {
        try requireThere()
        var found: [String: Generation] = [:]
        try list("", only: ["", "*/", "*/manifest.json", "*/journal/"].map { "/generations/\($0)" }) { _, path in
            let parts = path.split(separator: "/").dropFirst()
            guard let first = parts.first, Generation.isName(first) else { return }
            let name = String(first)
            var generation = found[name] ?? Generation(name: name)
            if parts.dropFirst() == ["manifest.json"] { generation.isFinished = true }
            if parts.dropFirst() == ["journal"] { generation.hasJournal = true }
            found[name] = generation
        }
        return found.values.sorted { $0.name < $1.name }
    }

    /// - Parameter name: nil: the newest that is finished.
    func finished(_ name: String?) throws -> Generation {
        let all = try generations()
        guard let name else {
            guard let newest = all.last(where: \.isFinished) else {
                throw BackupError("\(self.name): has no finished backup")
            }
            return newest
        }
        guard let found = all.first(where: { $0.name == name }) else {
            throw BackupError("\(self.name): has no backup \(name)")
        }
        guard found.isFinished else { throw BackupError("\(self.name): the backup \(name) was never finished") }
        return found
    }

    public func manifest(of generation: Generation) throws -> Manifest {
        let scratch = try ScratchDirectory()
        let file = "\(scratch.path)/manifest.json"
        try fetch(generation.manifest, to: file)
        let data = Data(try contentsOfFile(file))
        struct Format: Codable { let format: Int }
        guard let format = try? JSONDecoder().decode(Format.self, from: data).format else {
            throw BackupError("\(name): the manifest of \(generation.name) is damaged")
        }
        guard format == Manifest.format, let manifest = try? JSONDecoder().decode(Manifest.self, from: data) else {
            throw BackupError("\(name): the backup \(generation.name) was made by a newer release of shacache-admin")
        }
        return manifest
    }

    /// Fetches a file of a generation.
    ///
    /// - Throws: `BackupError` when it isn't as it was written.
    func fetch(_ path: String, of expected: Manifest.File, to file: String) throws {
        try fetch(path, to: file)
        guard try Manifest.File(of: file) == expected else {
            throw BackupError("\(name)/\(path): is damaged\nhint: use another backup: backup list shows them")
        }
    }
}

extension Manifest.File: Equatable {
    init(of path: String) throws {
        let file = try Descriptor(path)
        let hash = Hash(.sha256)
        try file.forEachPiece { hash.update($0) }
        self.init(bytes: try file.size(), sha256: hex(hash.finish()))
    }
}
