import ArgumentParser
import Client
import ShaCache

struct LookupCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "lookup",
        abstract: "Show every entry of a key: who signed it, whether it is trusted, and whether its blob is there.",
        discussion: """
            Exit codes: 0 a trusted entry with its blob is there (for a software release, one that fits this \
            machine), 3 none is, 4 there are entries and none is trusted, 5 the cache can't be reached.
            """)

    @OptionGroup var key: KeyOptions
    @OptionGroup var release: ReleaseOption
    @OptionGroup var options: CommonOptions

    func validate() throws {
        guard key.count + release.count == 1 else {
            throw ValidationError("give one of --key, --url, --pypi and --software-release")
        }
    }

    func run() throws {
        try options.perform { job in
            let key = try release.chosen() ?? key.required()
            let cache = Cache(try job.settings(for: release.use))
            let lookup = try Lookup(
                key, in: cache, trusting: job.configuration.trustedCertificates(reporter: job.reporter))
            let report = LookupReport(lookup, key: key)
            if options.json { try job.terminal.output(report.json) } else { try job.terminal.output(report.text) }
            let status = report.status(fitting: release.use == .binaries)
            guard status == .done else { throw Ended(status: status) }
        }
    }
}
