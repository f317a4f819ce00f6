import Archives
import Glibc
import HTTP
import ShaCache
import Threads

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

    /// - Parameters:
    ///   - name: a path, or a URL.
    ///   - allowsInsecureRedirects: whether an https URL may redirect to http.
    public init(_ name: String, allowsInsecureRedirects: Bool = false) {
        if name.prefixMatch(of: /https?:\/\//.ignoresCase()) != nil {
            self = .url(name, allowsInsecureRedirects: allowsInsecureRedirects)
        } else {
            let path = name.hasPrefix("file://") ? Self.path(of: name) : name
            self = isDirectory(path) ? .directory(path) : .file(path)
        }
    }

    private static func path(of fileURL: String) -> String {
        let raw = fileURL.dropFirst("file://".count).drop { $0 != "/" }
        return String(decoding: percentDecoded(Array(raw.utf8)) ?? Array(raw.utf8), as: UTF8.self)
    }

    /// What a directory listing would call it.
    public var baseName: String {
        switch self {
        case .file(let path): Self.lastPart(path)
        case .directory(let path): "\(Self.lastPart(path)).tar.gz"
        case .release(_, let name, _, _): "\(name).tar.gz"
        case .url(let url, _): Self.baseName(ofURL: url)
        }
    }

    /// What it is called in messages and results: a URL without the password that may stand in it.
    public static func shown(_ name: String) -> String {
        if case .url(let url, _) = Self(name) { withoutCredentials(url) } else { name }
    }

    static func baseName(ofURL url: String) -> String {
        lastPart(String(withoutCredentials(url).prefix { $0 != "?" && $0 != "#" }))
    }

    private static func lastPart(_ path: String) -> String { path.split(separator: "/").last.map(String.init) ?? path }

    /// Calls `body` with the bytes, which may still be growing while it runs.
    func withFile<Result>(
        item: String, reporter: Reporter, _ body: (GrowingFile) throws -> Result
    ) throws -> Result {
        switch self {
        case .file(let path):
            // A pipe has no size, and can't be read twice.
            let file = try OpenFile(path)
            guard try file.isRegular else { return try withProduct(body) { try file.forEachPiece($0.append) } }
            return try body(GrowingFile(whole: file))
        case .directory(let path):
            let archive = DirectoryPacking(
                directory: path, name: Self.lastPart(path), location: path, omitted: [], allowsLeavingLinks: true,
                item: item, reporter: reporter)
            return try withProduct(body, from: archive.write)
        case .release(let path, let name, let location, let allowsLeavingLinks):
            let archive = DirectoryPacking(
                directory: path, name: name, location: location, omitted: [".completed"],
                allowsLeavingLinks: allowsLeavingLinks, item: item, reporter: reporter)
            return try withProduct(body, from: archive.write)
        case .url(let url, let allowsInsecureRedirects):
            let origin = Origin(
                url: url, item: item, allowsInsecureRedirects: allowsInsecureRedirects, reporter: reporter)
            return try origin.beginningAnew { try withProduct(body) { try origin.fetch(into: $0) } }
        }
    }
}

/// Calls `body` with a temporary file that `produce` fills in a thread of its own meanwhile.
func withProduct<Result>(
    _ body: (GrowingFile) throws -> Result, from produce: @escaping @Sendable (GrowingFile) throws -> Void
) throws -> Result {
    let file = GrowingFile(empty: try OpenFile.temporary(in: temporaryDirectory))
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
        // Not waited for: it may be waiting itself, for a pipe that nobody fills or closes.
        file.giveUp(error)
        throw error
    }
}
