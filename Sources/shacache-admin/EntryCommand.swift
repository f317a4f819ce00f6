import ArgumentParser
import ShaCache
import Storage

struct EntryCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "entry", abstract: "What stands under a key.", subcommands: [EntryList.self, EntryWithdraw.self])

    struct EntryList: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "list", abstract: "List a key's entries, oldest first, withdrawn ones too.")
        @OptionGroup var options: AdminOptions
        @Argument(help: "As it is, without percent escapes.") var key: String

        func run() throws {
            let entries = try Entries(options.session()).table(under: Key(key))
            try options.show(options.json ? entries : entries.withoutEmptyColumns())
        }
    }

    struct EntryWithdraw: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "withdraw", abstract: "Hide entries at once; nothing of them is erased.",
            discussion: """
                All or none of them. The same pair can't be put under the same key again until the withdrawal is \
                lifted: its uploader gets 403 with the reason.
                """)
        @OptionGroup var options: AdminOptions
        @Argument(help: "Their numbers, as `entry list` shows them.") var number: [Int]
        @OptionGroup var why: ReasonOption

        func run() throws {
            let outcome = try Entries(options.session()).withdraw(
                number, Withdrawal(by: options.actor, reason: why.reason))
            options.report(outcome.sentence)
        }
    }
}

extension WithdrawalResult {
    /// Of entries.
    var sentence: String { "withdrawal \(number): \(count == 1 ? "1 entry is" : "\(count) entries are") hidden" }
}

/// Why something is withdrawn.
struct ReasonOption: ParsableArguments {
    @Option(
        help: "Why, in a line: uploaders are told.",
        transform: {
            guard let reason = Reason($0) else {
                throw ValidationError("a reason takes one line of 1 to \(Reason.lengthLimit) characters")
            }
            return reason
        })
    var reason: Reason
}
