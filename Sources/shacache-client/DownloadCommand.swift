import ArgumentParser
import Client
import ShaCache

struct DownloadCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "download",
        abstract: "Get what the cache has under a key, once its signature and its bytes are proved.",
        discussion: """
            Takes the first entry that a certificate of signature-certificate-list verifies and that passes the \
            filters; when its blob can't be had, the next one. The bytes are verified while they arrive, and appear \
            under FILE, or on standard output, only when they are whole and right. What a cut connection or a killed \
            call left beside FILE is gone on with by the next call. What the download cache doesn't give, or gives wrong, \
            the caches of fallback-download-cache-url and fallback-download-dir-url are asked for, one after the other.

            A FILTER is NAME, one of == >= <= > < >> <<, and a JSON value, which must be of the metadata's kind: a text \
            stands in double quotes. >> takes the entries with the greatest value above VALUE, << those with the least \
            below. Filters are applied one after the other:

              shacache download --key app:web 'branch=="main"' 'revision>>0' -o web.tar.gz

            The download cache in one command:

              shacache download --url $URL --origin $URL --upload-on-miss -o archive.tar.gz

            Exit codes: 0 got it, 1 misuse, 2 failed (no space, refused, the origin's fault), 3 not in the cache, \
            4 there but not trusted, 5 the cache can't be reached.
            """)

    @OptionGroup var key: KeyOptions
    @Option(help: ArgumentHelp("A file by its SHA-512 alone, which proves it without a signature.", valueName: "hash"))
    var sha512: String?
    @Argument(help: "Conditions on the metadata.")
    var filters: [String] = []
    @Option(
        name: [.customShort("o", allowingJoined: true), .long],
        help: ArgumentHelp("Where to put it; otherwise, and for -, standard output.", valueName: "file"),
        completion: .file())
    var output: String?
    @Option(
        help: ArgumentHelp("Fetch from there what the cache doesn't have, or can't be trusted with.", valueName: "url"))
    var origin: String?
    @Flag(help: "Put into the cache what came from the origin. That it fails is a warning.")
    var uploadOnMiss = false
    @OptionGroup var redirects: RedirectOption
    @OptionGroup var metadata: MetadataOptions
    @OptionGroup var options: ClientOptions

    func validate() throws {
        guard key.count + (sha512 == nil ? 0 : 1) == 1 else {
            throw ValidationError("give one of --key, --url, --pypi and --sha512")
        }
        guard sha512 == nil || (filters.isEmpty && origin == nil) else {
            throw ValidationError("--sha512 names one file: filters and an origin don't go with it")
        }
        try requireText(origin)
        for filter in filters { try requireText(filter) }
        guard !uploadOnMiss || origin != nil else { throw ValidationError("--upload-on-miss takes an --origin") }
        guard uploadOnMiss || metadata.isEmpty else { throw ValidationError("metadata is for --upload-on-miss") }
    }

    func run() throws {
        try options.perform { job in
            guard sha512 == nil else { return try fetchByName(job) }
            let key = try key.required()
            let filters = try filters.map { try MetadataFilter($0) }
            let destination = try Destination(output)
            let item = outputName ?? key.text
            do {
                let entry = try fromCache(job, key, filters, item, destination)
                job.terminal.finish(item)
                job.terminal.result("\(item): from the cache, \(entry.sha512)")
                try report(
                    job, destination,
                    [
                        "from": JSON("cache"), "key": JSON(key.text), "sha512": JSON(entry.sha512.description),
                        "metadata": entry.content,
                    ])
            } catch let failure where origin != nil && Self.isMiss(failure) {
                try fromOrigin(job, key, item, destination, insteadOf: failure)
            }
        }
    }

    /// For messages.
    private var outputName: String? { output == "-" ? "standard output" : output }

    private func fetchByName(_ job: Job) throws {
        guard let digest = Digest(sha512!) else { throw UsageError("--sha512 takes 128 hexadecimal digits") }
        let destination = try Destination(output)
        let item = outputName ?? "\(digest.description.prefix(16))…"
        try caches(job).first { try $0.downloadBlob(digest, item: item, to: destination) }
        job.terminal.finish(item)
        job.terminal.result("\(item): from the cache, \(digest)")
        try report(job, destination, ["from": JSON("cache"), "sha512": JSON(digest.description)])
    }

    private func caches(_ job: Job) throws -> CacheSequence {
        try CacheSequence(
            job.configuration,
            settings: { configuration, isFollowed in
                try job.settings(
                    for: .sources, in: configuration, hasAlternative: origin != nil, isFollowed: isFollowed)
            }, reporter: job.reporter)
    }

    /// JSON for scripts, where standard output has room for it.
    private func report(_ job: Job, _ destination: Destination, _ members: KeyValuePairs<String, JSON>) throws {
        guard options.json, case .file = destination else { return }
        try job.terminal.output(JSON.object(members))
    }

    private func fromCache(
        _ job: Job, _ key: Key, _ filters: [MetadataFilter], _ item: String, _ destination: Destination
    ) throws -> Entry {
        try caches(job).first { try $0.downloadEntry(key, filters: filters, item: item, to: destination) }
    }

    /// Whether the origin may help: the cache hasn't got it, isn't trusted, can't be reached, or isn't configured.
    private static func isMiss(_ error: any Error) -> Bool { error is CacheFailure || error is Unconfigured }

    private func fromOrigin(
        _ job: Job, _ key: Key, _ item: String, _ destination: Destination, insteadOf failure: any Error
    ) throws {
        if ExitStatus(failure) == .missing {
            job.terminal.note("\(failure); fetches from \(origin!)")
        } else {
            job.terminal.warn("\(failure); fetches from \(origin!)")
        }
        let source = Origin(
            url: origin!, item: item, allowsInsecureRedirects: redirects.allowInsecureRedirect, reporter: job.reporter)
        let fetched = try source.download(to: destination)
        job.terminal.finish(item)
        job.terminal.result("\(item): from the origin, \(origin!)")
        try report(job, destination, ["from": JSON("origin"), "key": JSON(key.text), "origin": JSON(origin!)])
        guard uploadOnMiss, ExitStatus(failure) != .unreachable else { return }
        do {
            try upload(fetched, job, key, item)
        } catch {
            job.terminal.warn("\(item): not put into the cache: \(error)")
        }
    }

    private func upload(_ fetched: Origin.Fetched, _ job: Job, _ key: Key, _ item: String) throws {
        let signature = try Signature(job.configuration, reporter: job.reporter)
        let uploader = Uploader(
            Cache(try job.settings(for: .sources, defaultTimeout: patientTimeout)), signature: signature,
            reporter: job.reporter)
        var metadata = try metadata.read()
        try self.key.complete(&metadata, baseName: Source(origin!).baseName)
        try job.warnOfSecrets(in: metadata, key: key)
        let stored = try uploader.store(fetched, item: item)
        _ = try uploader.index(stored.digest, under: key, metadata: metadata)
        job.terminal.finish(item)
        job.terminal.result("\(item): listed under \(key.text), \(stored.digest)")
    }
}
