import ArgumentParser
import Client
import ShaCache
import System

/// What is looked for, in one of the forms that the cache's users have.
struct KeyOptions: ParsableArguments {
    @Option(name: [.customShort("k", allowingJoined: true), .long], help: "The key itself.")
    var key: String?

    @Option(
        name: [.customShort("u", allowingJoined: true), .long],
        help: "The URL of a source archive (key file-urlmd5:...).")
    var url: String?

    @Option(help: ArgumentHelp("A Python distribution (key pypi:...).", valueName: "name==version"))
    var pypi: String?

    var count: Int { [key, url, pypi].count { $0 != nil } }

    func validate() throws {
        guard count <= 1 else { throw ValidationError("give only one of --key, --url and --pypi") }
        try requireText(key, url, pypi)
        guard let pypi else { return }
        guard (try? Self.distribution(pypi)) != nil else { throw ValidationError("--pypi takes NAME==VERSION") }
    }

    /// nil when none of the options is there.
    func chosen() throws -> Key? {
        do {
            if let key { return try Key(key) }
            if let url { return try Key.source(url: url) }
            if let pypi {
                let (name, version) = try Self.distribution(pypi)
                return try Key.python(name: name, version: version)
            }
        } catch let refusal as Refusal {
            throw UsageError(refusal.description)
        }
        return nil
    }

    /// The key under which older clients may have listed it; nil when there is none.
    func older() throws -> Key? { try url.map { try Key.olderSource(url: $0) } }

    func required() throws -> Key {
        guard let key = try chosen() else { throw UsageError("give one of --key, --url and --pypi") }
        return key
    }

    /// Adds the metadata of deployed clients for such a key.
    ///
    /// - Parameter baseName: nil when the file's name is unknown.
    func complete(_ metadata: inout Metadata, baseName: String?) throws {
        if let url { metadata.setDefault("url", url: url) }
        guard pypi != nil, metadata["basename"] == nil else { return }
        guard let baseName else {
            throw UsageError(
                "--pypi: what comes from standard input has no name", hint: "say it with --meta basename=NAME")
        }
        metadata.setDefault("basename", JSON(baseName.percentFileName))
    }

    private static func distribution(_ text: String) throws -> (name: String, version: String) {
        guard let match = text.wholeMatch(of: /([^=]+)==([^=].*)/) else {
            throw UsageError("\(text): not NAME==VERSION")
        }
        return (String(match.1), String(match.2))
    }
}

/// What is looked for in the binary cache.
struct ReleaseOption: ParsableArguments {
    @Option(
        name: [.customLong("software-release"), .customShort("s")],
        help: ArgumentHelp("A software release in the binary cache, by its URL or the MD5 of it.", valueName: "url"))
    var softwareRelease: String?

    var count: Int { softwareRelease == nil ? 0 : 1 }

    func validate() throws { try requireText(softwareRelease) }

    var use: Use { softwareRelease == nil ? .sources : .binaries }

    /// nil when the option isn't there.
    func chosen() throws -> Key? {
        try softwareRelease.map { name in
            name.wholeMatch(of: /[0-9a-f]{32}/) == nil ? try Key.softwareRelease(url: name) : try Key(name)
        }
    }
}

/// Metadata that the user adds.
struct MetadataOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Add to the metadata, as a text.", valueName: "name=value"))
    var meta: [String] = []

    @Option(
        help: ArgumentHelp("Add the members of a JSON object to the metadata.", valueName: "file.json"),
        completion: .file())
    var metadata: String?

    func validate() throws { for assignment in meta { try requireText(assignment) } }

    var isEmpty: Bool { meta.isEmpty && metadata == nil }

    /// The file's members, with those over them that were given one by one.
    func read() throws -> Metadata {
        let result = try Metadata(file: metadata, assignments: meta)
        guard result["sha512"] == nil else {
            throw UsageError("sha512 is not yours to say: it is that of what is sent")
        }
        return result
    }
}
