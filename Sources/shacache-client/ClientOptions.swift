import ArgumentParser
import Client
import OpenSSL
import ShaCache
import System

/// What every command takes.
struct ClientOptions: ParsableArguments {
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

    @Option(
        help: ArgumentHelp(
            "How long to wait, in all tries together, for a cache that doesn't answer a lookup or a download, or sends less than 1,000 bytes a second. Otherwise what SHACACHE_TIMEOUT says, else \(briefTimeout), and \(patientTimeout) where something is uploaded or withdrawn. How long a server takes to take in an upload isn't limited by it, nor an origin, which has 60 seconds.",
            valueName: "seconds"))
    var timeout: Int?

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
        guard timeout.map(timeouts.contains) ?? true else { throw ValidationError("--timeout takes 1 to 3600 seconds") }
    }

    func configuration(mayBeMissing: Bool = false) throws -> NodeConfiguration {
        try NodeConfiguration(
            file: config ?? environmentVariable("SHACACHE_CONFIG"), overrides: overrides, mayBeMissing: mayBeMissing)
    }

    /// Runs a command's work, reports its errors, and ends with their exit code.
    ///
    /// - Parameters:
    ///   - warnsOfConfiguration: false for a command that reports its warnings itself.
    ///   - makesConfiguration: whether the configuration that is named need not be there yet.
    func perform(
        warnsOfConfiguration: Bool = true, makesConfiguration: Bool = false, _ work: (Job) throws -> Void
    ) throws {
        let terminal = Terminal(quiet ? .quiet : verbose ? .verbose : .normal)
        do {
            try Hash.Algorithm.requireSHA2()
            let configuration = try configuration(mayBeMissing: makesConfiguration)
            if warnsOfConfiguration { for warning in configuration.warnings { terminal.warn(warning) } }
            try work(Job(options: self, configuration: configuration, terminal: terminal))
        } catch let ended as ExitError {
            throw ended
        } catch {
            terminal.error("\(error)", hint: (error as? any HasHint)?.hint)
            throw ExitError(status: ExitStatus(error))
        }
        if strict, terminal.warnings > 0 {
            let count = counted(terminal.warnings, "warning")
            terminal.error("there \(terminal.warnings == 1 ? "was" : "were") \(count), and --strict")
            throw ExitError(status: .failed)
        }
    }
}

/// How long is waited for a cache that is silent, in seconds. Short where another has what is looked for, as most often.
let briefTimeout = 15
/// For builders, and as the deployed clients do: a server that digests uploads may be slow, and failing costs more.
let patientTimeout = 60
private let timeouts = 1...3600

/// SHACACHE_TIMEOUT, in seconds; nil when it isn't set.
///
/// - Throws: `UsageError` when that is no number of seconds.
func environmentTimeout() throws -> Int? {
    guard let text = environmentVariable("SHACACHE_TIMEOUT") else { return nil }
    guard let seconds = Int(text), timeouts.contains(seconds) else {
        throw UsageError("SHACACHE_TIMEOUT: \(text): not 1 to 3600 seconds")
    }
    return seconds
}

/// For what is fetched from elsewhere than a cache.
struct RedirectOption: ParsableArguments {
    @Flag(help: "Follow redirects from https to http, although anybody on the way can change what comes then.")
    var allowInsecureRedirect = false
}

/// Something that is only warned of, but for --strict.
struct TooStrict: Error, CustomStringConvertible {
    let description: String
}

/// What a command works with.
struct Job {
    let options: ClientOptions
    let configuration: NodeConfiguration
    let terminal: Terminal

    var reporter: Reporter { terminal.reporter }

    /// Prints a result in the form that was asked for.
    func output(_ text: String, _ members: KeyValuePairs<String, JSON>) throws {
        if options.json { try terminal.output(JSON.object(members)) } else { try terminal.output(text) }
    }

    /// Warns of what seems to be a secret in what is to be signed and listed. Called before anything is sent.
    ///
    /// - Throws: `TooStrict` when there is some, and warnings are failures.
    func warnOfSecrets(in metadata: Metadata, key: Key) throws {
        let isSecret = withoutCredentials(in: key.text) != key.text || !secretParameters(of: key.text).isEmpty
        let secrets =
            metadata.secrets + (isSecret ? ["\(key.text): holds what looks like a secret, and keys are public"] : [])
        for secret in secrets { terminal.warn(secret) }
        guard secrets.isEmpty || !options.strict else {
            throw TooStrict(description: "nothing was sent, with --strict")
        }
    }

    /// - Parameters:
    ///   - other: in place of the configuration.
    ///   - defaultTimeout: without one of the user's, in seconds.
    ///   - hasAlternative: whether what the cache doesn't give can be had elsewhere.
    ///   - isFollowed: whether another cache is asked next.
    func settings(
        for use: Use, in other: NodeConfiguration? = nil, defaultTimeout: Int = briefTimeout,
        hasAlternative: Bool = false, isFollowed: Bool = false
    ) throws -> Cache.Settings {
        Cache.Settings(
            other ?? configuration, for: use, retries: options.retries,
            timeout: try options.timeout ?? environmentTimeout() ?? defaultTimeout, hasAlternative: hasAlternative,
            isFollowed: isFollowed, reporter: reporter)
    }
}

/// What is signed, or asked of a server, must be text; names of files need not be.
func requireText(_ arguments: String?...) throws {
    for case let argument? in arguments where argument.holdsRawBytes {
        throw ValidationError("\(argument): is not valid UTF-8")
    }
}

/// An empty name is most often a variable that isn't set.
func requireNames(_ names: String?...) throws {
    guard !names.contains("") else { throw ValidationError("the name of the file is empty") }
}

extension JSON {
    /// For people and scripts: bytes of file names that are no UTF-8 are spelled out.
    init(shown text: String) { self.init(text.shownFileName) }
}
