import ArgumentParser
import Client
import ShaCache

struct LookupCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "lookup",
        abstract: "Show every entry of a key: who signed it, whether it is trusted, and whether its blob is there.",
        discussion: """
            Where a --url has no entries, those of older buildouts are shown, under their key (slapos-buildout-... \
            or pypi-buildout-...), and the exit code is 3.

            Exit codes: 0 a trusted entry with its blob is there (for a software release, one that fits this \
            machine), 3 none is, 4 there are entries and none is trusted, 5 the cache can't be reached.
            """)

    @OptionGroup var key: KeyOptions
    @OptionGroup var release: ReleaseOption
    @OptionGroup var options: ClientOptions

    func validate() throws {
        guard key.count + release.count == 1 else {
            throw ValidationError("give one of --key, --url, --pypi and --software-release")
        }
    }

    func run() throws {
        try options.perform { job in
            let wanted = try release.chosen() ?? key.required()
            let (lookup, key) = try found(wanted, in: Cache(try job.settings(for: release.use)), job)
            let report = LookupReport(lookup, key: key, warn: job.terminal.warn)
            if options.json { try job.terminal.output(report.json) } else { try job.terminal.output(report.text) }
            // What is listed elsewhere is shown, but `download --url` doesn't get it.
            let status = key.text == wanted.text ? report.status(fitting: release.use == .binaries) : .missing
            guard status == .done else { throw ExitError(status: status) }
        }
    }

    /// With the key under which it was found.
    private func found(_ wanted: Key, in cache: Cache, _ job: Job) throws -> (Lookup, Key) {
        let certificates = job.configuration.trustedCertificates(reporter: job.reporter)
        do {
            return (try Lookup(wanted, in: cache, trusting: certificates), wanted)
        } catch let missing as CacheFailure where ExitStatus(missing) == .missing {
            guard let older = try key.older(), let lookup = try Self.listed(older, cache, certificates) else {
                throw missing
            }
            job.terminal.result(
                """
                nothing is listed under \(wanted.text); an older buildout's entries are, which no client takes for this \
                URL: get what they name with `shacache download --key \(older.text)`
                """)
            return (lookup, older)
        }
    }

    /// nil when nothing is.
    private static func listed(
        _ key: Key, _ cache: Cache, _ certificates: TrustedCertificates
    ) throws -> Lookup? {
        do {
            return try Lookup(key, in: cache, trusting: certificates)
        } catch let missing as CacheFailure where ExitStatus(missing) == .missing {
            return nil
        }
    }
}
