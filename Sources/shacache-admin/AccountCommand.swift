import ArgumentParser
import Storage

struct AccountCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "account", abstract: "Who may upload.",
        subcommands: [
            AccountAdd.self, AccountSet.self, AccountBundle.self, AccountList.self, AccountShow.self,
            AccountDisable.self, AccountEnable.self, AccountRecount.self,
        ])

    struct AccountAdd: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "add", abstract: "Make an account.",
            discussion: """
                It can upload once it has a certificate. The account `local` is special: where nginx includes \
                local-writers.conf, chosen addresses write as it without a certificate.
                """)
        @OptionGroup var options: AdminOptions
        @Argument(help: "Lowercase letters, digits, dot, dash, underscore; at most 63.")
        var name: String
        @Option(help: "Who that is, for people.")
        var comment = ""
        @OptionGroup(title: "What it may do") var settings: AccountOptions

        func run() throws {
            let session = try options.session()
            try Accounts(session).add(name, comment: comment, by: options.actor, alter: settings.alter)
            options.report("account \(name) added")
            options.journal { try $0.append(account: name, session) }
        }
    }

    struct AccountSet: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "set", abstract: "Change what an account may do, and how much.",
            discussion: """
                What isn't given stays as it is. A limit counts what the account was the first to upload; what it has \
                stored already stays, also beyond a new limit.
                """)
        @OptionGroup var options: AdminOptions
        @Argument var name: String
        @OptionGroup(title: "What it may do") var settings: AccountOptions

        func validate() throws {
            guard !settings.isEmpty else { throw ValidationError("say what is to be changed") }
        }

        func run() throws {
            let changes = try Accounts(options.session()).set(name, by: options.actor, settings.alter)
            for change in changes { options.report("account \(name): \(change)") }
            if changes.isEmpty { options.report("account \(name): nothing changed") }
        }
    }

    struct AccountList: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "list", abstract: "List all accounts, with what they may do and have used.")
        @OptionGroup var options: AdminOptions

        func run() throws {
            let accounts = try Accounts(options.session()).table()
            try options.show(options.json ? accounts : accounts.withoutEmptyColumns())
        }
    }

    struct AccountShow: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "show", abstract: "Show one account and its certificates.")
        @OptionGroup var options: AdminOptions
        @Argument var name: String

        func run() throws {
            let session = try options.session()
            let account = try Accounts(session).table(named: name)
            guard !account.rows.isEmpty else { throw CommandError("there is no account \(name)") }
            let certificates = try Certificates(session).table(of: name)
            try output(
                options.json
                    ? prettyJSON(["account": account, "certificates": certificates])
                    : "\(account.withoutEmptyColumns().text())\n\n\(certificates.text())")
        }
    }

    struct AccountDisable: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "disable",
            abstract: "Refuse uploads of an account from its next request on; what it uploaded stays.")
        @OptionGroup var options: AdminOptions
        @Argument var name: String

        func run() throws {
            try Accounts(options.session()).setEnabled(false, name, by: options.actor)
            options.report("account \(name) disabled")
        }
    }

    struct AccountEnable: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "enable", abstract: "Let a disabled account upload again.")
        @OptionGroup var options: AdminOptions
        @Argument var name: String

        func run() throws {
            try Accounts(options.session()).setEnabled(true, name, by: options.actor)
            options.report("account \(name) enabled")
        }
    }

    struct AccountRecount: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "recount",
            abstract: "Compare what accounts have stored, as uploads added it up, with the blobs themselves.",
            discussion: "Uploads may go on meanwhile. Exits with 1 when something differs, and wasn't repaired.")
        @OptionGroup var options: AdminOptions
        @Argument(help: "Only this account.") var name: String?
        @Flag(help: "Put right what differs.") var repair = false

        func run() throws {
            let usage = AccountUsage(try options.session())
            let (table, isRight) =
                try repair ? usage.repair(name, by: options.actor) : usage.compare(name)
            try options.show(table)
            if isRight { return }
            guard repair else {
                throw CommandError("what is on record differs from what is stored: --repair puts it right")
            }
            options.report("what differed is repaired")
        }
    }
}
