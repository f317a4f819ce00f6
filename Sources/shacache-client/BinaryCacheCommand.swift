import ArgumentParser
import Client
import ShaCache

struct BinaryCacheCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "binary-cache",
        abstract: "Publish and install compiled software releases, as slapgrid does.",
        discussion: """
            Key, metadata, archive and matching rule are slapgrid's, so that either side may be slapgrid. The lists of \
            slapos.cfg are honoured: upload-to-binary-cache-url-blacklist, download-from-binary-cache-url-blacklist \
            (old name binary-cache-url-blacklist) and download-from-binary-cache-force-url-list.
            """,
        subcommands: [Publish.self, Install.self])

    struct Publish: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Pack a compiled release and put it into the binary cache.",
            discussion: """
                A release that `install` would refuse, since links in it lead out of it, isn't published: its entry \
                would stay, and stand in the way of a better one. Of what no archive holds (sockets, devices) there \
                are warnings. A blacklisted URL is not published, which is a warning too.
                """)
        @Argument(help: "The release's directory, usually /opt/slapgrid/MD5-OF-URL.", completion: .directory)
        var directory: String
        @Option(help: "The URL of the release's profile.") var softwareUrl: String
        @Flag(help: "Publish although links lead out of the release: for nodes that slapgrid installs.")
        var allowLinksOut = false
        @OptionGroup var options: ClientOptions

        func validate() throws {
            try requireNames(directory)
            try requireReleaseURL(softwareUrl)
        }

        func run() throws {
            try options.perform { job in
                let signature = try Signature(job.configuration, reporter: job.reporter)
                let cache = BinaryCache(
                    Cache(try job.settings(for: .binaries, defaultTimeout: patientTimeout)), signature: signature,
                    reporter: job.reporter)
                var said = Metadata()
                said.setDefault("software_url", url: softwareUrl)
                try job.warnOfSecrets(in: said, key: .softwareRelease(url: softwareUrl))
                switch try cache.publish(
                    directory, softwareURL: softwareUrl, platform: .here(), allowsLeavingLinks: allowLinksOut)
                {
                case .blacklisted(let prefix):
                    job.terminal.warn("\(softwareUrl): not published: blacklisted by \(prefix) in the configuration")
                case .stored(let stored, let indexed):
                    let blob = stored.wasThere ? "was there" : "sent"
                    let entry = indexed == .wasThere ? "was listed" : "listed"
                    job.terminal.result("\(softwareUrl): \(blob), \(sizeText(stored.size)), \(entry)")
                    try job.output(
                        stored.digest.description,
                        [
                            "sha512": JSON(stored.digest.description), "size": .number("\(stored.size)"),
                            "blob": JSON(blob), "entry": JSON(entry),
                        ])
                }
            }
        }
    }

    struct Install: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Install a compiled release from the binary cache: all of it at once, or nothing.",
            discussion: """
                Takes the first trusted entry that fits this machine, and those that were compiled for this software \
                root first: one for another root is a warning, and with --strict isn't installed. Reads tar, plain or \
                in gzip, bzip2, xz, LZMA or zstd. Refuses archives with absolute or .. paths, links that lead out of \
                the release, and devices. The files belong to the owner of the software root; setuid and setgid bits \
                are dropped.

                Where slapgrid runs (slapos.cfg has a computer_id, and this is its software_root) it refuses, as \
                slapgrid would compile over the release. With --mark-completed slapgrid takes it as its own: it \
                compiles nothing, and never tells its master that the release is available.

                Exit codes: 0 installed, or there already; 1 misuse, or slapgrid's; 2 failed (no space, unsafe \
                archive), 3 no entry fits, 4 entries and none is trusted, 5 the cache can't be reached. After 3, 4 \
                and 5 the release can be compiled here, unless download-from-binary-cache-force-url-list forbids it.
                """)
        @Option(help: "The URL of the release's profile.") var softwareUrl: String
        @Option(help: "Where releases are; otherwise software_root of slapos.cfg, else /opt/slapgrid.")
        var softwareRoot: String?
        @Flag(help: "Put slapgrid's mark .completed into it.")
        var markCompleted = false
        @OptionGroup var options: ClientOptions

        func validate() throws {
            try requireNames(softwareRoot)
            try requireReleaseURL(softwareUrl)
        }

        func run() throws {
            try options.perform { job in
                let signature = Signature(
                    trusting: job.configuration.trustedCertificates(reporter: job.reporter))
                let cache = BinaryCache(
                    Cache(try job.settings(for: .binaries, hasAlternative: true)), signature: signature,
                    reporter: job.reporter)
                let root = softwareRoot ?? job.configuration.softwareRoot
                do {
                    let path = try cache.install(
                        softwareURL: softwareUrl, softwareRoot: root, platform: .here(),
                        allowsOtherRoot: !options.strict, marksCompleted: markCompleted)
                    job.terminal.result("\(softwareUrl): installed")
                    try job.output(path, ["directory": JSON(shown: path), "installed": .bool(true)])
                } catch let already as BinaryCache.AlreadyInstalled {
                    job.terminal.result("\(already)")
                    try job.output(
                        already.directory, ["directory": JSON(shown: already.directory), "installed": .bool(false)])
                } catch let failure as CacheFailure {
                    if let prefix = cache.forcingPrefix(of: softwareUrl) {
                        job.terminal.warn(
                            "\(softwareUrl): not to be compiled here: the binary cache is forced for \(prefix)")
                    }
                    throw failure
                }
            }
        }
    }
}

/// The MD5 of the URL, which is what a release's directory is called, would be listed under its own MD5, where no node
/// looks.
private func requireReleaseURL(_ text: String) throws {
    try requireText(text)
    guard text.wholeMatch(of: /[0-9A-Fa-f]{32}/) == nil else {
        throw ValidationError("--software-url: \(text) is an MD5: give the URL of the release's profile itself")
    }
}
