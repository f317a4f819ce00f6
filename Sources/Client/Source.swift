import Archives
import Glibc
import HTTP
import ShaCache
import System

/// What a user wants to have in the cache.
public enum Source: Sendable {
    case file(String)
    /// Goes in as a tar.gz of it.
    case directory(String)
    /// A compiled software release: a directory, but for the mark that slapgrid puts on one when it has told so.
    ///
    /// - Parameters:
    ///   - name: of the archive's one top-level member.
    ///   - location: where it will be on a node.
    case release(String, name: String, location: String, allowsLeavingLinks: Bool)
    /// Its contents, fetched from there.
    case url(String, allowsInsecureRedirects: Bool)
    case standardInput

    /// - Parameters:
    ///   - name: a path, a URL, or `-` for standard input.
    ///   - allowsInsecureRedirects: whether an https URL may redirect to http.
    public init(_ name: String, allowsInsecureRedirects: Bool = false) {
        if name == "-" {
            self = .standardInput
        } else if Self.isURL(name) {
            self = .url(name, allowsInsecureRedirects: allowsInsecureRedirects)
        } else {
            let path = name.hasPrefix("file://") ? Self.path(of: name) : name
            self = isDirectory(path) ? .directory(path) : .file(path)
        }
    }

    /// Whether it is fetched by HTTP, and no path.
    public static func isURL(_ name: String) -> Bool { name.prefixMatch(of: /https?:\/\//.ignoresCase()) != nil }

    private static func path(of fileURL: String) -> String {
        let raw = fileURL.dropFirst("file://".count).drop { $0 != "/" }
        return String(fileName: percentDecoded(Array(raw.utf8)) ?? Array(raw.utf8))
    }

    /// What a directory listing would call it; nil for what has no name.
    public var baseName: String? {
        switch self {
        case .standardInput: nil
        case .file(let path): Self.lastPart(path)
        case .directory(let path): "\(Self.nameOfDirectory(path)).tar.gz"
        case .release(_, let name, _, _): "\(name).tar.gz"
        case .url(let url, _): Self.baseName(ofURL: url)
        }
    }

    /// What it is called in messages and results: a URL without its password.
    public static func shown(_ name: String) -> String {
        if case .url(let url, _) = Self(name) { withoutCredentials(url) } else { name }
    }

    static func baseName(ofURL url: String) -> String {
        lastPart(String(withoutCredentials(url).prefix { $0 != "?" && $0 != "#" }))
    }

    private static func lastPart(_ path: String) -> String {
        path.utf8.split(separator: UInt8(ascii: "/")).last.map { String($0)! } ?? path
    }

    /// What the user calls it; of `.`, `..` and the like, what it is called.
    private static func nameOfDirectory(_ path: String) -> String {
        let name = lastPart(path)
        guard [".", "..", "/"].contains(name), let real = try? realPath(path) else { return name }
        return real == "/" ? "root" : lastPart(real)
    }

    /// Calls `body` with the bytes, which may still be growing while it runs.
    func withFile<Result>(
        item: String, reporter: Reporter, _ body: (GrowingFile) throws -> Result
    ) throws -> Result {
        switch self {
        case .file(let path):
            let file = SharedFile(try Descriptor(path))
            // A pipe has no size, and can't be read twice.
            guard try file.descriptor.isRegular else {
                return try withProduct(body) { try file.descriptor.forEachPiece($0.append) }
            }
            let stamp = try FileStamp(file.descriptor)
            guard try !file.descriptor.hasSize(of: stamp) else {
                return try body(GrowingFile(whole: file, stamp: stamp))
            }
            return try withProduct(body) { product in
                try file.descriptor.forEachPiece(product.append)
                try stamp.check(file.descriptor)
            }
        case .standardInput:
            let input = SharedFile(try Descriptor.standardInput())
            // Of a file that is redirected into it.
            let stamp = try input.descriptor.isRegular ? FileStamp(input.descriptor) : nil
            return try withProduct(body) { product in
                try input.descriptor.forEachPiece(product.append)
                try stamp?.check(input.descriptor)
            }
        case .directory(let path):
            let real = try realPath(path)
            let archive = DirectoryPacking(
                directory: real, name: Self.nameOfDirectory(path), location: real, omitted: [],
                allowsLeavingLinks: true, makesLinksRelative: false, item: item, reporter: reporter)
            return try withProduct(body, from: archive.write)
        case .release(let path, let name, let location, let allowsLeavingLinks):
            let archive = DirectoryPacking(
                directory: path, name: name, location: location, omitted: [BinaryCache.completedMark],
                allowsLeavingLinks: allowsLeavingLinks, makesLinksRelative: true, item: item, reporter: reporter)
            return try withProduct(body, from: archive.write)
        case .url(let url, let allowsInsecureRedirects):
            let origin = Origin(
                url: url, item: item, allowsInsecureRedirects: allowsInsecureRedirects, reporter: reporter)
            return try origin.beginningAnew { try withProduct(body) { try origin.stream(into: $0) } }
        }
    }
}

/// Calls `body` with a temporary file that `produce` fills in a thread of its own meanwhile.
func withProduct<Result>(
    _ body: (GrowingFile) throws -> Result, from produce: @escaping @Sendable (GrowingFile) throws -> Void
) throws -> Result {
    let file = GrowingFile(empty: SharedFile(try Descriptor.temporary(in: temporaryDirectory)))
    let producer = try Background {
        do {
            try produce(file)
            file.finish()
        } catch {
            file.finish(.failure(error))
        }
    }
    do {
        let result = try body(file)
        try producer.value()
        return result
    } catch {
        // Not joined: it may be blocked on a pipe that is never filled or closed.
        file.giveUp(error)
        throw error
    }
}

extension Descriptor {
    /// Whether there are as many bytes to read as its size: procfs, sysfs and some FUSE file systems make sizes up.
    ///
    /// - Throws: `FileChanged` when it grows.
    func hasSize(of stamp: FileStamp) throws -> Bool {
        guard stamp.size == 0 || readsByte(at: stamp.size - 1) else { return false }
        guard readsByte(at: stamp.size) else { return true }
        try stamp.check(self)
        return false
    }

    /// An error shows when all is read.
    private func readsByte(at offset: Int) -> Bool {
        withUnsafeTemporaryAllocation(byteCount: 1, alignment: 1) { (try? read(at: offset, into: $0)) == 1 }
    }

    /// - Throws: `UsageError` when it is a terminal.
    fileprivate static func standardInput() throws -> Descriptor {
        let name = "standard input"
        guard isatty(STDIN_FILENO) == 0 else {
            throw UsageError(
                "\(name): is a terminal",
                hint: "redirect a file or a pipe into it, or name the file; ./- is one named -")
        }
        return try duplicate(STDIN_FILENO, named: name)
    }
}
