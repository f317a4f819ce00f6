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
    @Option(
        name: [.customLong("software-release"), .customShort("s")],
        help: ArgumentHelp("A software release in the binary cache, by its URL or the MD5 of it.", valueName: "url"))
    var softwareRelease: String?
    @OptionGroup var options: CommonOptions

    func validate() throws {
        guard key.count + (softwareRelease == nil ? 0 : 1) == 1 else {
            throw ValidationError("give one of --key, --url, --pypi and --software-release")
        }
    }

    func run() throws {
        try options.perform { job in
            let key = try softwareRelease.map(Self.key(ofRelease:)) ?? key.required()
            let cache = Cache(job.settings(for: softwareRelease == nil ? .sources : .binaries))
            let lookup = try Lookup(
                key, in: cache, trusting: job.configuration.trustedCertificates(reporter: job.reporter))
            let report = LookupReport(lookup, key: key)
            try job.terminal.output(options.json ? report.json.dumped(indent: 2) : report.text)
            let status = report.status(fitting: softwareRelease != nil)
            guard status == .done else { throw Ended(status: status) }
        }
    }

    private static func key(ofRelease name: String) throws -> Key {
        name.wholeMatch(of: /[0-9a-f]{32}/) == nil ? Key.softwareRelease(url: name) : try Key(name)
    }
}
