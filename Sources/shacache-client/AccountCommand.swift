import ArgumentParser
import Client
import Glibc
import ShaCache

struct AccountCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "account", abstract: "Ask a cache for an account, and get its certificate.",
        discussion: """
            The private key is made on this machine, and never leaves it. The operator of the cache decides; not every cache \
            takes such requests.

              shacache account request --server https://cache.example.org --name alice --contact alice@example.org
              shacache account fetch --server https://cache.example.org

            Key and certificate are the files that shacache-key-file and shacache-cert-file name in the configuration, else \
            ssl/shacache.key and ssl/shacache.crt beside it; neither is overwritten. With the certificate the options that \
            uploads need are written into the configuration, as far as they aren't set there.
            """,
        subcommands: [AccountRequestCommand.self, AccountFetchCommand.self])
}

struct AccountRequestCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "request", abstract: "Make a key, and ask for an account.",
        discussion: """
            The same again asks nothing new: it says whether the request waits, and gets the certificate when it was \
            approved. Tell the operator, on another way, the key that this prints: it shows that nobody else asks in your \
            name.

            Exit codes: 0 it waits, or the certificate is there, 1 misuse, 2 refused, 5 the cache can't be reached, or takes \
            no more requests for now.
            """)

    @Option(help: "The account's name: up to 63 of a-z, 0-9, dot, dash and underscore.") var name: String
    @Option(help: "Who you are, for the operator: an address, say.") var contact: String
    @OptionGroup var place: AccountServerOptions
    @OptionGroup var options: ClientOptions

    func validate() throws { try requireText(name, contact) }

    func run() throws {
        try place.perform(options) { try $0.request(name: name, contact: contact) }
    }
}

struct AccountFetchCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "fetch", abstract: "Get the certificate that was asked for, and write the configuration.",
        discussion: """
            Exit codes: 0 the certificate is there, 1 misuse, 2 refused, 3 the request still waits, or is not known, 5 the \
            cache can't be reached.
            """)

    @OptionGroup var place: AccountServerOptions
    @OptionGroup var options: ClientOptions

    func run() throws {
        try place.perform(options, whileWaiting: .missing) { try $0.fetch() }
    }
}

/// Which cache is asked, and how long its operator is waited for.
struct AccountServerOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "The cache: https and its host. Otherwise that of upload-cache-url.", valueName: "url"))
    var server: String?
    @Option(help: ArgumentHelp("How long to wait for the operator.", valueName: "seconds"))
    var wait = 0

    func validate() throws {
        try requireText(server)
        guard (0...1_000_000).contains(wait) else { throw ValidationError("--wait takes 0 to 1000000 seconds") }
    }

    /// Between two questions, in seconds: fewer than the server takes of one address.
    private static let pause = 5

    /// - Parameters:
    ///   - status: that a command ends with whose request waits.
    ///   - ask: the first time; then it is looked what became of that.
    func perform(
        _ options: ClientOptions, whileWaiting status: ExitStatus = .done,
        _ ask: (AccountApplication) throws -> AccountApplication.Answer
    ) throws {
        try options.perform(makesConfiguration: true) { job in
            let application = try AccountApplication(job.settings(for: .sources), server: server)
            let deadline = ContinuousClock.now + .seconds(wait)
            var answer = try ask(application)
            while case .waiting = answer, .now < deadline {
                sleep(UInt32(Self.pause))
                answer = try application.fetch()
            }
            try job.report(answer, of: application)
            if case .waiting = answer, status != .done { throw ExitError(status: status) }
        }
    }
}

extension Job {
    fileprivate func report(_ answer: AccountApplication.Answer, of application: AccountApplication) throws {
        let key = try application.fingerprint()
        switch answer {
        case .waiting(let number):
            try output(
                "the request\(number.map { " \($0)" } ?? "") waits for the operator of \(application.server)\nkey \(key)",
                ["state": JSON("waiting"), "number": number.map { .number($0) } ?? .null, "key": JSON(key)])
            terminal.result("shacache account fetch gets the certificate when it is approved")
        case .granted(let account, let kept):
            for option in kept {
                terminal.warn("\(option) was set in the configuration, and stays")
            }
            try output(
                "account \(account): the certificate is \(application.certificateFile)",
                [
                    "state": JSON("granted"), "account": JSON(account), "key": JSON(key),
                    "certificate-file": JSON(shown: application.certificateFile),
                    "key-file": JSON(shown: application.keyFile),
                ])
            guard configuration[.signatureKeyFile] == nil else { return }
            terminal.result(
                "shacache generate-signature-key makes the key that you sign entries with; shacache doctor says what is lacking"
            )
        }
    }
}
