import CLinux
import Glibc
import ShaCache
import System

/// Where a backup lies: a directory of this host, or of another one that is reached over ssh. All that happens there,
/// rsync does: so it needs no other program there, and may be the only one that a key is for (rrsync(1)).
///
///     PLACE/blobs/3f/3f9a…              the blobs of all generations, each once
///     PLACE/withdrawn/3f9a…             those that were withdrawn when they were copied
///     PLACE/generations/NAME/           what one backup has by itself (`Generation`)
///     PLACE/partial/                    what is being received
public struct BackupPlace: Sendable {
    /// An absolute path, without a slash at its end.
    let directory: String
    /// As ssh takes it, `USER@HOST`; nil: this host.
    let host: String?
    private let options: [String]

    /// - Parameters:
    ///   - directory: of this host; relative to the working directory.
    ///   - limit: in bytes a second; nil: none.
    public init(directory: String, limit: Int? = nil) throws {
        let path = directory.hasPrefix("/") ? directory : "\(try currentDirectory())/\(directory)"
        try self.init(path, on: nil, limit: limit, shell: nil)
    }

    /// - Parameters:
    ///   - remote: `USER@HOST:/DIRECTORY`.
    ///   - shell: what rsync calls in place of `ssh`, with its options.
    public init(remote: String, limit: Int? = nil, shell: String? = nil) throws {
        let parts = remote.split(separator: ":", maxSplits: 1).map(String.init)
        // It is part of rsync's own paths on that side, which must not depend on where rsync starts.
        guard parts.count == 2, !parts[0].hasPrefix("-"), parts[1].hasPrefix("/") else {
            throw BackupError("\(remote): is not of the form USER@HOST:/DIRECTORY")
        }
        try self.init(parts[1], on: parts[0], limit: limit, shell: shell)
    }

    private init(_ path: String, on host: String?, limit: Int?, shell: String?) throws {
        var path = Substring(path)
        while path.hasSuffix("/") { path = path.dropLast() }
        directory = String(path)
        self.host = host
        // Files are whole or aren't there, and on the disk before they have their names.
        options =
            ["--times", "--omit-dir-times", "--whole-file", "--fsync", "--no-human-readable"]
            + (limit.map { ["--bwlimit=\(max(1, $0 >> 10))"] } ?? []) + (shell.map { ["--rsh=\($0)"] } ?? [])
    }

    /// For messages and records.
    public var name: String { "\(host.map { "\($0):" } ?? "")\(directory.isEmpty ? "/" : directory)" }

    /// As rsync takes it.
    private func location(_ path: String) -> String { "\(host.map { "\($0):" } ?? "")\(directory)/\(path)" }

    private func rsync(_ words: [String]) -> Program { Program(["rsync"] + options + words) }

    /// Run in vain when a file vanished, which its caller then finds out.
    private func runTolerant(_ program: Program, output: (UnsafeRawBufferPointer) throws -> Void) throws {
        do { try program.run(output: output) } catch let error as ProgramError where error.code == 24 {}
    }

    // MARK: What is there

    /// Makes the directories that are missing, and removes what a killed backup was sending.
    ///
    /// - Parameter skeleton: see `BackupSkeleton`.
    func prepare(_ skeleton: BackupSkeleton) throws {
        if host == nil { try makeDirectory() }
        try rsync(["--recursive", "--mkpath", "--chmod=D700", "\(skeleton.path)/", location("")]).run()
        try rsync(["--recursive", "--delete", "\(skeleton.empty)/", location("partial/")]).run()
    }

    /// What lies in a directory there, in directories of one level too: `body` gets the size in bytes and the path from
    /// there on.
    ///
    /// - Parameter only: patterns of what is listed; empty: all.
    func list(_ path: String, only: [String] = [], _ body: (Int, String) throws -> Void) throws {
        let filter = only.isEmpty ? [] : only.map { "--include=\($0)" } + ["--exclude=*"]
        var lines = LineBuffer()
        try rsync(["--recursive", "--list-only"] + filter + [location(path.isEmpty ? "" : "\(path)/")]).run { piece in
            lines.append(piece)
            while let line = lines.next() {
                let item = try listedItem(line)
                if item.name != "." { try body(item.size, item.name) }
            }
        }
    }

    /// - Throws: `BackupError` when there is no such directory on this host. Of another host, rsync says so.
    func requireThere() throws {
        guard host == nil, directory.withFileName({ access($0, F_OK) }) != 0 else { return }
        throw BackupError("\(name): there is no such directory")
    }

    // MARK: Sending and fetching

    /// Sends files to where they lie from a directory on.
    ///
    /// - Parameters:
    ///   - source: the directory.
    ///   - paths: from it on; those that aren't there are left out.
    /// - Returns: those that were sent.
    func send(_ paths: [String], from source: String) throws -> Set<String> {
        try copy(paths, "\(source)/", location(""), "\(directory)/partial", ["--chmod=F400,D700"])
    }

    /// Fetches files to where they lie from a directory on.
    ///
    /// - Parameter temporary: a directory of the same file system, for what is being received.
    /// - Returns: those that were there.
    func fetch(_ paths: [String], to target: String, temporary: String) throws -> Set<String> {
        try copy(paths, location(""), "\(target)/", temporary, ["--chmod=F440", "--no-implied-dirs"])
    }

    private func copy(
        _ paths: [String], _ source: String, _ target: String, _ temporary: String, _ more: [String]
    ) throws -> Set<String> {
        try withList(of: paths) { list in
            var lines = LineBuffer()
            var copied: Set<String> = []
            try runTolerant(
                rsync(
                    more + [
                        "--ignore-times", "--ignore-missing-args", "--from0", "--files-from=\(list)",
                        "--temp-dir=\(temporary)", "--out-format=%n", source, target,
                    ])
            ) { piece in
                lines.append(piece)
                while let line = lines.next() { copied.insert(String(decoding: line, as: UTF8.self)) }
            }
            return copied
        }
    }

    /// Sends a directory with all that is in it.
    ///
    /// - Parameters:
    ///   - sibling: a directory there; what is the same as in it becomes one file with it. nil: none.
    ///   - isRelative: whether the source's whole path comes below `path`.
    func send(
        directory source: String, to path: String, sharing sibling: String? = nil, isRelative: Bool = false
    ) throws {
        let share = sibling.map { ["--link-dest=\(directory)/\($0)"] } ?? []
        let how = isRelative ? ["--relative", "--links", "--perms"] : ["--chmod=F400,D700"]
        let from = isRelative ? source : "\(source)/"
        try rsync(["--recursive", "--mkpath"] + how + share + [from, location("\(path)/")]).run()
    }

    /// Sends one file.
    func send(file: String, to path: String) throws {
        try rsync(["--mkpath", "--chmod=F400", file, location(path)]).run()
    }

    /// Fetches one file, which is there.
    func fetch(_ path: String, to file: String) throws { try rsync([location(path), file]).run() }

    /// Fetches a directory with all that is in it.
    func fetch(directory path: String, to target: String) throws {
        try rsync(["--recursive", "--perms", location("\(path)/"), "\(target)/"]).run()
    }

    /// Makes the names of what was sent survive a crash. Another host's file system does that in its own time: most do
    /// it with the next file's bytes, which rsync synchronizes.
    func synchronize() throws {
        guard host == nil else { return }
        let opened = try Descriptor(directory, flags: O_DIRECTORY)
        try systemCall("write to the disk", directory) { syncfs(opened.number) }
    }

    // MARK: Removing

    /// Removes files; those that aren't there are no error.
    func remove(_ paths: [String], _ skeleton: BackupSkeleton) throws {
        guard !paths.isEmpty else { return }
        try withList(of: paths) { list in
            try rsync([
                "--from0", "--files-from=\(list)", "--delete-missing-args", "\(skeleton.path)/", location(""),
            ]).run()
        }
    }

    /// Removes a generation with all that is in it.
    func remove(generation name: String, _ skeleton: BackupSkeleton) throws {
        // First, so that no half of it is taken for a whole one.
        try rsync([
            "--recursive", "--delete", "--include=/manifest.json", "--exclude=*", "\(skeleton.empty)/",
            location("generations/\(name)/"),
        ]).run()
        try rsync([
            "--recursive", "--delete", "--include=/\(name)", "--include=/\(name)/***", "--exclude=*",
            "\(skeleton.empty)/", location("generations/"),
        ]).run()
    }

    /// - Parameter body: gets the name of a file that has these paths, as rsync reads them.
    private func withList<Result>(of paths: [String], _ body: (String) throws -> Result) throws -> Result {
        let scratch = try ScratchDirectory()
        let file = try Descriptor("\(scratch.path)/list", flags: O_WRONLY | O_CREAT | O_EXCL, mode: 0o600)
        try Array(paths.map { "\($0)\0" }.joined().utf8).withUnsafeBytes { try file.writeAll($0) }
        return try body("\(scratch.path)/list")
    }

    /// Of this host; not those that it lies in, since that would be where a disk isn't mounted.
    private func makeDirectory() throws {
        guard directory.withFileName({ mkdir($0, 0o700) }) != 0, errno != EEXIST else { return }
        throw SystemError("make", directory)
    }
}

private func currentDirectory() throws(SystemError) -> String {
    guard let path = getcwd(nil, 0) else { throw SystemError("find the working directory") }
    defer { free(path) }
    return String(fileName: path)
}

/// Why a backup or a restore was not made.
public struct BackupError: Error, CustomStringConvertible {
    public let description: String

    init(_ description: String) { self.description = description }
}

/// A directory of our own for a while, for its owner alone.
final class ScratchDirectory {
    let path: String

    /// Not memory, as /tmp may be: a dump is large.
    static var parent: String { environmentVariable("TMPDIR") ?? "/var/tmp" }

    init() throws(SystemError) {
        var template = "\(Self.parent)/shacache-XXXXXX".fileNameBytes.map { CChar(bitPattern: $0) } + [0]
        guard mkdtemp(&template) != nil else { throw SystemError("make a directory in", Self.parent) }
        path = template.withUnsafeBufferPointer { String(fileName: $0.baseAddress!) }
    }

    deinit { Self.remove(path) }

    /// What can't be removed stays: nothing depends on it.
    private static func remove(_ path: String) {
        for name in (try? namesInDirectory(path)) ?? [] {
            let inside = "\(path)/\(name)"
            if inside.withFileName({ unlink($0) }) != 0 { remove(inside) }
        }
        _ = path.withFileName { rmdir($0) }
    }
}

/// What rsync makes directories after, and what it finds nothing in when files are to be removed.
final class BackupSkeleton {
    private let scratch: ScratchDirectory
    var path: String { "\(scratch.path)/skeleton" }
    var empty: String { "\(scratch.path)/empty" }

    init() throws {
        scratch = try ScratchDirectory()
        let shelves = (UInt8.min...UInt8.max).map { "/skeleton/blobs/\(hex([$0]))" }
        let others = ["", "/blobs", "/withdrawn", "/generations", "/partial"].map { "/skeleton\($0)" }
        for name in ["/empty"] + others + shelves {
            try systemCall("make", path: scratch.path + name) { mkdir($0, 0o700) }
        }
    }
}

/// What rsync lists, a file or directory a line: `-r--------          2 2026/11/29 20:42:23 3f/3f9a…`.
private func listedItem(_ line: ArraySlice<UInt8>) throws(BackupError) -> (size: Int, name: String) {
    let fields = line.split(separator: UInt8(ascii: " "), maxSplits: 4)
    guard fields.count == 5, let size = Int(String(decoding: fields[1], as: UTF8.self)) else {
        throw BackupError("rsync lists what isn't understood: \(String(decoding: line, as: UTF8.self))")
    }
    return (size, String(decoding: fields[4], as: UTF8.self))
}
