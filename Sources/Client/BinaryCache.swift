import Archives
import Glibc
import ShaCache
import System

/// slapgrid's binary cache: compiled software releases, for nodes that are like the one that compiled them.
public struct BinaryCache {
    let cache: Cache
    let signature: Signature
    let reporter: Reporter

    /// - Parameter cache: for binaries.
    public init(_ cache: Cache, signature: Signature, reporter: Reporter) {
        self.cache = cache
        self.signature = signature
        self.reporter = reporter
    }

    var configuration: NodeConfiguration { cache.configuration }

    /// What became of a release that was to be published.
    public enum Published: Sendable {
        case stored(Uploader.Stored, Uploader.Indexed)
        /// The configuration forbids it; the reason names the prefix.
        case blacklisted(String)
    }

    /// Packs a release's directory and lists it under the release's key, with this machine's platform.
    ///
    /// - Parameter allowsLeavingLinks: otherwise a release with links that lead out of it is refused.
    public func publish(
        _ directory: String, softwareURL: String, platform: Platform, allowsLeavingLinks: Bool
    ) throws -> Published {
        if let prefix = configuration.prefixes(.uploadBlacklist).first(where: softwareURL.hasPrefix) {
            return .blacklisted(prefix)
        }
        try signature.checkSigning()
        let path = try absolute(directory)
        guard path != "/" else { throw UsageError("/: is no release's directory") }
        // The entry says where it was compiled, and is text.
        guard !path.holdsRawBytes else { throw UsageError("\(path): is not valid UTF-8") }
        guard !exists("\(path)/.shared") else {
            throw UsageError(
                "\(path): uses parts that it shares with other releases (it holds .shared)",
                hint: "build it without shared parts: they would be missing on other machines")
        }
        let key = try Key.softwareRelease(url: softwareURL)
        let root = String(path.directoryPrefix.dropLast())
        if isSlapgrids(root), !isCompleted(path) {
            reporter.warn(
                "\(path): has no \(Self.completedMark): slapgrid's build of it failed, goes on, or waits to upload it")
        }
        if !path.hasSuffix("/\(key.text)") {
            reporter.warn("\(path): nodes install it as \(key.text); paths compiled into it may not fit there")
        }
        if let configured = configuration[.softwareRoot], !SoftwareRoot(root).isReached(by: configured) {
            reporter.warn(
                "\(path): nodes with this configuration install it in \(configured); paths in it lead to \(root)"
            )
        }
        let uploader = Uploader(cache, signature: signature, reporter: reporter)
        let source = Source.release(
            try realPath(path), name: key.text, location: "\(root)/\(key.text)", allowsLeavingLinks: allowsLeavingLinks)
        let stored = try uploader.store(source, item: key.text)
        var metadata = Metadata()
        metadata.setDefault("software_url", url: softwareURL)
        metadata["software_root"] = JSON(root)
        metadata["multiarch"] = JSON(platform.multiarch)
        metadata["os"] = JSON(platform.os)
        return .stored(stored, try uploader.index(stored.digest, under: key, metadata: metadata))
    }

    /// Installs a release as `softwareRoot/KEY`: all of it at once, or nothing.
    ///
    /// - Parameters:
    ///   - allowsOtherRoot: whether it may have been compiled for another software root, with a warning.
    ///   - marksCompleted: slapgrid then takes the release as one that it has installed itself.
    /// - Returns: the directory.
    /// - Throws: `UsageError` where slapgrid would compile over it. `CacheFailure.missing` also when no trusted entry fits
    ///   this machine, or a blacklist forbids it.
    public func install(
        softwareURL: String, softwareRoot: String, platform: Platform, allowsOtherRoot: Bool = true,
        marksCompleted: Bool
    ) throws -> String {
        let key = try Key.softwareRelease(url: softwareURL)
        if let prefix = configuration.downloadBlacklist.first(where: softwareURL.hasPrefix) {
            throw CacheFailure.missing("\(softwareURL): blacklisted by \(prefix) in the configuration")
        }
        let root = try absolute(softwareRoot)
        let directory = "\(root)/\(key.text)"
        guard !exists(directory) else {
            throw obstacle(directory, expectsMark: marksCompleted || isSlapgrids(root))
        }
        if !marksCompleted { try refuseBesideSlapgrid(root, key) }
        let archive = SharedFile(try Descriptor.temporary(in: root))
        let downloader = Downloader(cache, trusting: signature.certificates, reporter: reporter)
        let candidates = SoftwareRoot(root).bestFirst(try fitting(platform, downloader.trusted(key), key))
        _ = try downloader.first(of: candidates) { entry in
            let relation = SoftwareRoot(root).relation(to: entry)
            try judge(relation, root, allowsOtherRoot, item: key.text)
            let incoming = try HashingWriter(archive)
            try incoming.clear()
            try downloader.receive(entry.sha512, into: incoming, item: key.text)
            let release = ArchiveExtractor(
                name: key.text, root: root, otherPaths: relation.otherPaths, owner: try ownerBelow(root),
                replacements: [Self.completedMark: marksCompleted ? Self.completedText() : nil])
            try unpack(archive.descriptor, release, as: key.text)
        }
        return directory
    }

    /// Something has the release's name already; it may be another program's work in progress.
    public struct AlreadyInstalled: Error, CustomStringConvertible {
        public let directory: String
        public var description: String { "\(directory): is there already" }
    }

    /// The prefix in `download-from-binary-cache-force-url-list` that forbids to compile this release.
    public func forcingPrefix(of softwareURL: String) -> String? {
        configuration.prefixes(.forcedList).first(where: softwareURL.hasPrefix)
    }

    /// The entries that were compiled on a machine like this one.
    private func fitting(_ platform: Platform, _ trusted: [Entry], _ key: Key) throws -> [Entry] {
        let fitting = trusted.filter { entry in
            let other = Platform(entry.content)
            if let other, platform.runs(other) { return true }
            let wanted = other?.description ?? "no platform"
            reporter.note("\(key.text): passed over, \(entry.named): for \(wanted), and this is \(platform)")
            return false
        }
        guard fitting.isEmpty else { return fitting }
        let seen = Set(trusted.map { Platform($0.content)?.description ?? "no platform" }).sorted()
        throw CacheFailure.missing(
            "\(key.text): none of \(counted(trusted.count, "trusted entry", "trusted entries")) fits \(platform): "
                + seen.joined(separator: ", "))
    }

    /// Paths in scripts and libraries lead to where the release was compiled for.
    private func judge(
        _ relation: SoftwareRoot.Relation, _ root: String, _ allowsOther: Bool, item: String
    ) throws {
        guard case .other(let other) = relation else { return }
        let reason = "compiled for the software root \(other), and this one is \(root)"
        guard allowsOther else { throw CacheFailure.broken("\(item): not installed: \(reason)") }
        reporter.warn("\(item): \(reason): paths in it lead to the other one")
    }

    private func unpack(_ archive: borrowing Descriptor, _ release: ArchiveExtractor, as name: String) throws {
        let size = try archive.size()
        archive.rewind()
        do {
            _ = try release.extract(from: archive.number) { done in
                reporter.progress(Progress(item: name, step: .unpacking, done: done, total: size))
            }
        } catch let error as ArchiveError where error.isTheArchives {
            throw CacheFailure.broken("\(error)")
        }
    }

    /// The tree belongs to the owner of the software root, as what slapgrid makes.
    private func ownerBelow(_ root: String) throws -> Owner? {
        guard geteuid() == 0 else { return nil }
        let status = try fileStatus(root)
        return Owner(user: status.st_uid, group: status.st_gid)
    }

    /// As the user names it: what was compiled into a release, and its links, go through the same symbolic links.
    private func absolute(_ path: String) throws -> String {
        guard isDirectory(path) else {
            throw UsageError("\(path): \(exists(path) ? "is not a directory" : "there is no such directory")")
        }
        let start = path.utf8.first == UInt8(ascii: "/") ? "" : try realPath(".")
        let parts = "\(start)/\(path)".utf8.split(separator: UInt8(ascii: "/")).map { String($0)! }.filter { $0 != "." }
        // What `..` leads to from behind a link, the names don't show.
        guard let last = parts.lastIndex(of: "..") else { return "/" + parts.joined(separator: "/") }
        let real = try realPath("/" + parts[...last].joined(separator: "/"))
        return parts[(last + 1)...].reduce(real) { $0 == "/" ? "/\($1)" : "\($0)/\($1)" }
    }
}

extension ArchiveError {
    /// Whether another archive of the same release may do better.
    fileprivate var isTheArchives: Bool {
        switch self {
        case .unsafe, .malformed: true
        case .noSpace, .exists, .changed, .system: false
        }
    }
}
