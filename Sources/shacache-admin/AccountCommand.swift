import ArgumentParser

struct AccountCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "account", abstract: "Who may upload.",
        subcommands: [Add.self, Bundle.self, List.self, Show.self, Disable.self, Enable.self])

    struct Add: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Make an account.",
            discussion: """
                It can upload once it has a certificate. The account `local` is special: where nginx includes \
                local-writers.conf, chosen addresses write as it without a certificate.
                """)
        @OptionGroup var options: CommonOptions
        @Argument(help: "Lowercase letters, digits, dot, dash, underscore; at most 63.")
        var name: String
        @Option(help: "Who that is, for people.")
        var comment = ""

        func run() throws {
            try options.catalog().addAccount(name, comment: comment, by: options.actor)
            options.report("account \(name) added")
        }
    }

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List all accounts.")
        @OptionGroup var options: CommonOptions

        func run() throws { try options.show(try options.catalog().accounts()) }
    }

    struct Show: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show one account and its certificates.")
        @OptionGroup var options: CommonOptions
        @Argument var name: String

        func run() throws {
            let catalog = try options.catalog()
            let account = try catalog.accounts(named: name)
            guard !account.rows.isEmpty else { throw Failure("there is no account \(name)") }
            let certificates = try catalog.certificates(of: name)
            print(
                options.json
                    ? try prettyJSON(["account": account, "certificates": certificates])
                    : "\(account.text())\n\n\(certificates.text())")
        }
    }

    struct Disable: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Refuse uploads of an account from its next request on; what it uploaded stays.")
        @OptionGroup var options: CommonOptions
        @Argument var name: String

        func run() throws {
            try options.catalog().setAccount(name, enabled: false, by: options.actor)
            options.report("account \(name) disabled")
        }
    }

    struct Enable: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Let a disabled account upload again.")
        @OptionGroup var options: CommonOptions
        @Argument var name: String

        func run() throws {
            try options.catalog().setAccount(name, enabled: true, by: options.actor)
            options.report("account \(name) enabled")
        }
    }
}
