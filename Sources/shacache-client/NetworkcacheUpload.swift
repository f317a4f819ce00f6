import ArgumentParser
import Client
import ShaCache

/// `networkcache-upload` of slapos.libnetworkcache.
struct NetworkcacheUpload: DeployedCommand {
    static let configuration = CommandConfiguration(
        commandName: "networkcache-upload", abstract: "Upload a file to the network cache. See also: shacache upload")
    static let longOptions = ["config", "key", "url", "prefix-key", "suffix-key", "file", "metadata", "help"]

    @OptionGroup var options: DeployedOptions
    @Option(
        name: [.customShort("f", allowingJoined: true), .long],
        help: "Upload the contents of this file, overriding --url.")
    var file: String?
    @Option(
        name: [.customShort("m", allowingJoined: true), .long],
        help: "Take a file containing a json-serializable dictionary with shadir metadata.")
    var metadata: String?
    @Argument(help: ArgumentHelp("Extra metadata. Warning: interpreted as string.", valueName: "key=value"))
    var meta: [String] = []

    func validate() throws {
        for assignment in meta { try requireText(assignment) }
        guard file != nil || options.url != nil else { throw ValidationError("either --file or --url is required") }
    }

    func carryOut() throws {
        let settings = try options.settings()
        let signature = try options.signature(settings)
        let uploader = Uploader(Cache(settings), signature: signature, reporter: quietTerminal.reporter)
        let source = try source()
        guard let key = try options.identifier() else {
            _ = try uploader.store(source, item: "")
            return
        }
        try signature.checkSigning()
        let metadata = try readMetadata()
        // They are arguments of the Python function that gets the metadata.
        for name in ["self", "file_descriptor", "key", "sha512"] where metadata[name] != nil {
            throw UsageError("got multiple values for keyword argument '\(name)'")
        }
        for secret in metadata.secrets { quietTerminal.warn(secret) }
        let stored = try uploader.store(source, item: "")
        guard !metadata.members.isEmpty else { throw UsageError("metadata should not be empty") }
        _ = try uploader.index(stored.digest, under: key, metadata: metadata)
    }

    /// A URL that is no directory is fetched, so it must be one.
    private func source() throws -> Source {
        if let file { return .file(file) }
        let source = Source(options.url!)
        switch source {
        case .file where options.url!.hasPrefix("file:"), .directory, .url: return source
        case .file, .release, .standardInput: throw UsageError("unknown url type: \(options.url!)")
        }
    }

    private func readMetadata() throws -> Metadata {
        var result = try Metadata(file: metadata, assignments: meta)
        if let url = options.url { result.setDefault("url", url: url) }
        return result
    }
}
