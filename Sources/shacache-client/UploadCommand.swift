import ArgumentParser
import Client
import ShaCache
import Synchronization
import System

struct UploadCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "upload",
        abstract: "Put files, directories or the contents of URLs into the cache.",
        discussion: """
            Sends only what the cache lacks. With --key, --url or --pypi it also signs an entry, lists it under that \
            key, and reads it back; without one the blob can be had by its SHA-512 only. A directory goes in as a \
            tar.gz. `shacache upload --url URL` fetches URL itself; with FILE the file stands for what is there. What is \
            listed and said of a URL leaves out the user and the password that may stand in it.

              shacache upload --url https://example.org/a-1.0.tar.gz
              shacache upload --pypi six==1.16.0 dist/six-1.16.0.tar.gz dist/six-1.16.0-py3-none-any.whl
              shacache upload --key build:42 --meta commit=1f3c out/
              pg_dump app | shacache upload --key dump:app -

            - is standard input, and ./- a file of that name; -- ends the options. A file that changes while it is read is \
            refused.
            """)

    @Argument(help: "Files, directories, http or https URLs, and - for standard input.", completion: .file())
    var sources: [String] = []
    @OptionGroup var key: KeyOptions
    @OptionGroup var metadata: MetadataOptions
    @Option(name: [.customShort("j", allowingJoined: true), .long], help: "How many at once.")
    var jobs = 8
    @OptionGroup var redirects: RedirectOption
    @OptionGroup var options: ClientOptions

    func validate() throws {
        guard (1...64).contains(jobs) else { throw ValidationError("--jobs takes 1 to 64") }
        guard !sources.isEmpty || key.url != nil else { throw ValidationError("give a FILE, DIR or URL, or --url URL") }
        guard sources.count < 2 || key.url == nil else {
            throw ValidationError("--url URL names one file: give one FILE, or none to fetch URL itself")
        }
        guard sources.count(where: { $0 == "-" }) < 2 else {
            throw ValidationError("- is standard input, which can be read once")
        }
        for source in sources { try requireNames(source) }
        for source in sources where Source.isURL(source) { try requireText(source) }
        guard key.count > 0 || metadata.isEmpty else {
            throw ValidationError("metadata belongs to a key: give one of --key, --url and --pypi")
        }
    }

    func run() throws {
        try options.perform { job in
            let upload = try Plan(self, job)
            let names = sources.isEmpty ? [key.url!] : sources
            let outcomes = try upload.carryOut(names, jobs: jobs)
            try UploadSummary(names: names.map(Source.shown), outcomes: outcomes, terminal: job.terminal).report(
                asJSON: options.json)
        }
    }

    /// What is the same for all files of a call.
    private struct Plan: Sendable {
        let settings: Cache.Settings
        let signature: Signature
        let key: Key?
        let keyOptions: KeyOptions
        let allowsInsecureRedirects: Bool
        let metadata: Metadata
        let terminal: Terminal

        init(_ command: UploadCommand, _ job: Job) throws {
            settings = try job.settings(for: .sources, defaultTimeout: patientTimeout)
            _ = try job.configuration.requiredEndpoint(.upload, .cache, for: .sources)
            key = try command.key.chosen()
            if key != nil { _ = try job.configuration.requiredEndpoint(.upload, .directory, for: .sources) }
            signature = try Signature(job.configuration, reporter: job.reporter)
            if key != nil { try signature.checkSigning() }
            keyOptions = command.key
            allowsInsecureRedirects = command.redirects.allowInsecureRedirect
            metadata = try command.metadata.read()
            if let key {
                var said = metadata
                try keyOptions.complete(&said, baseName: "")
                try job.warnOfSecrets(in: said, key: key)
            }
            terminal = job.terminal
        }

        /// Sends in parallel, then lists one after the other: entries are in the order of the arguments.
        func carryOut(_ names: [String], jobs: Int) throws -> [UploadSummary.UploadOutcome] {
            let stored = Mutex<[Int: Result<Uploader.Stored, any Error>]>([:])
            let sources = names.map { name in
                (Source(name, allowsInsecureRedirects: allowsInsecureRedirects), item: Source.shown(name))
            }
            let pipeline = UploadPipeline(settings, signature: signature, senders: jobs, reporter: terminal.reporter)
            try pipeline.store(sources) { index, outcome in
                let item = sources[index].item
                terminal.finish(item)
                stored.withLock { $0[index] = outcome }
                if key == nil { UploadSummary.say(item, outcome.map { UploadSummary.Done(stored: $0) }, on: terminal) }
            }
            let blobs = stored.withLock { found in names.indices.map { found[$0]! } }
            guard let key else { return blobs.map { blob in blob.map { UploadSummary.Done(stored: $0) } } }
            let outcomes = list(blobs, of: names, under: key)
            for (source, outcome) in zip(sources, outcomes) { UploadSummary.say(source.item, outcome, on: terminal) }
            return outcomes
        }

        /// - Parameter blobs: those that are in the cache get entries, as far as their metadata can be made.
        private func list(
            _ blobs: [Result<Uploader.Stored, any Error>], of names: [String], under key: Key
        ) -> [UploadSummary.UploadOutcome] {
            let described = zip(names, blobs).map { name, blob in
                blob.flatMap { blob in Result { (blob, try metadata(of: name)) } }
            }
            let uploader = Uploader(Cache(settings), signature: signature, reporter: terminal.reporter)
            var indexed = uploader.index(
                described.compactMap { try? $0.get() }.map { ($0.digest, $1) }, under: key
            ).makeIterator()
            return described.map { blob in
                blob.flatMap { stored, _ in
                    indexed.next()!.map { UploadSummary.Done(stored: stored, key: key, indexed: $0) }
                }
            }
        }

        private func metadata(of name: String) throws -> Metadata {
            var metadata = metadata
            try keyOptions.complete(&metadata, baseName: Source(name).baseName)
            return metadata
        }
    }
}
