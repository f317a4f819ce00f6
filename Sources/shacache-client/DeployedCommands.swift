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

/// `networkcache-download` of slapos.libnetworkcache.
struct NetworkcacheDownload: DeployedCommand {
    static let configuration = CommandConfiguration(
        commandName: "networkcache-download",
        abstract: "Print what the network cache has under a key. See also: shacache download")
    static let longOptions = ["config", "key", "url", "prefix-key", "suffix-key", "list", "help"]
    static let shortFlags: Set<Character> = ["l"]

    @OptionGroup var options: DeployedOptions
    @Flag(name: .shortAndLong, help: "List found results instead of downloading the first one.")
    var list = false
    @Argument(
        help: ArgumentHelp(
            "Filter metadata; applied in the order of appearance.", valueName: "key{==,<=,>=,<,>,<<,>>}value"))
    var meta: [String] = []

    func validate() throws {
        for filter in meta { try requireText(filter) }
        guard options.key != nil || options.url != nil else {
            throw ValidationError("one of the arguments -k/--key -u/--url is required")
        }
    }

    func carryOut() throws {
        let settings = try options.settings()
        let signature = try options.signature(settings)
        let filters = try meta.map { try MetadataFilter($0) }
        let downloader = Downloader(Cache(settings), trusting: signature.certificates, reporter: quietTerminal.reporter)
        let found = try downloader.select(options.identifier()!, filters: filters)
        guard !found.isEmpty else { throw UsageError("No result found with given criteria.") }
        guard !list else {
            return try quietTerminal.output(JSON.array(found.map(\.content)), sortingNames: true)
        }
        try downloader.downloadBlob(found[0].sha512, item: "", to: Destination(nil))
    }
}

/// `generate-signature-key` of slapos.libnetworkcache, and its older form with the configuration alone.
struct DeployedGenerateSignatureKey: DeployedCommand {
    static let configuration = CommandConfiguration(
        commandName: "generate-signature-key",
        abstract: "Make a signing key and its certificate. See also: shacache generate-signature-key")
    static let longOptions = ["cert-file", "help"]

    @Option(help: "Path of certificate to generate (by default, only print on stdout)")
    var certFile = "-"
    @Argument(help: "Key file to generate.") var keyFile: String
    @Argument(help: "Common name to use in the generated certificate.") var commonName: String?

    func validate() throws { try requireText(commonName) }

    func carryOut() throws {
        let request = try SignatureKeyRequest(keyFile: keyFile, certificateFile: certFile, commonName: commonName)
        // First, as the script does, which then prints nothing.
        try SignaturePair.checkFree(key: request.keyFile, certificate: request.certificateFile)
        let certificateFile = request.certificateFile ?? "-"
        try quietTerminal.output(
            "Generating certificate for '\(request.name)' (key: '\(request.keyFile)', certficate: '\(certificateFile)')\n"
        )
        let pair = try SignaturePair(commonName: request.name, bits: 3072)
        try pair.write(key: request.keyFile, certificate: request.certificateFile)
        try quietTerminal.output(pair.certificate.pem())
        try quietTerminal.output(
            "\nDon't forget to add the certificate to the signature-certificate-list in your SlapOS configuration file."
        )
    }
}
