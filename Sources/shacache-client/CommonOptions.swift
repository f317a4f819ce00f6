import ArgumentParser
import Client
import Glibc
import OpenSSL
import ShaCache

/// What every command takes.
struct CommonOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "The configuration, slapos.cfg or alike. Otherwise that of SHACACHE_CONFIG, else \(NodeConfiguration.defaultFile).",
            valueName: "file"), completion: .file())
    var config: String?

    @Option(
        name: [.customLong("option"), .customShort("O", allowingJoined: true)],
        help: ArgumentHelp(
            "Set an option of the configuration for this call, e.g. download-cache-url=http://cache/shacache.",
            valueName: "name=value"))
    var overrides: [String] = []

    @Option(help: "How often to try again what another try can help.")
    var retries = 4

    @Flag(name: .shortAndLong, help: "Say nothing but warnings and errors.")
    var quiet = false

    @Flag(name: .shortAndLong, help: "Say what is tried and why.")
    var verbose = false

    @Flag(help: "Print the result as JSON.")
    var json = false

    @Flag(help: "Fail when there was a warning.")
    var strict = false

    func validate() throws {
        guard retries >= 0, retries <= 20 else { throw ValidationError("--retries takes 0 to 20") }
    }

    func configuration() throws -> NodeConfiguration {
        let environment = getenv("SHACACHE_CONFIG").map { String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 }
        return try NodeConfiguration(file: config ?? environment, overrides: overrides)
    }

    /// Runs a command's work, says what went wrong, and ends with the exit code that tells it.
    ///
    /// - Parameter warnsOfConfiguration: false for a command that says by itself what is odd in it.
    func perform(warnsOfConfiguration: Bool = true, _ work: (Job) throws -> Void) throws {
        let terminal = Terminal(quiet ? .quiet : verbose ? .verbose : .normal)
        do {
            try Hash.Algorithm.requireSHA2()
            let configuration = try configuration()
            if warnsOfConfiguration { for warning in configuration.warnings { terminal.warn(warning) } }
            try work(Job(options: self, configuration: configuration, terminal: terminal))
        } catch let ended as Ended {
            throw ended
        } catch {
            terminal.error("\(error)", hint: (error as? any Advising)?.hint)
            throw Ended(status: ExitStatus(error))
        }
        if strict, terminal.warnings > 0 {
            terminal.error("there were \(terminal.warnings) warnings, and --strict")
            throw Ended(status: .failed)
        }
    }
}

/// What a command works with.
struct Job {
    let options: CommonOptions
    let configuration: NodeConfiguration
    let terminal: Terminal

    var reporter: Reporter { terminal.reporter }

    /// Prints a result in the form that was asked for.
    func output(_ text: String, _ members: KeyValuePairs<String, JSON>) throws {
        try terminal.output(options.json ? JSON.object(members).dumped(indent: 2) : text)
    }

    func settings(for use: Use) -> Cache.Settings {
        Cache.Settings(configuration, for: use, retries: options.retries, reporter: reporter)
    }
}
