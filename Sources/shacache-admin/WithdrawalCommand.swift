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
            let entries = try options.configuration().withStore {
                try Entries(options.session(), in: $0).table(under: Key(key))
            }
            try options.show(options.json ? entries : entries.withoutEmptyColumns())
        }
    }

    struct EntryWithdraw: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "withdraw", abstract: "Hide entries at once; nothing of them is erased.",
            discussion: """
                All or none of them. The same pair can't be put under the same key again until the withdrawal is \
                lifted: its uploader gets 403 with the reason. To be run on the machine that has the store.
                """)
        @OptionGroup var options: AdminOptions
        @Argument(help: "Their numbers, as `entry list` shows them.") var number: [Int]
        @OptionGroup var why: ReasonOption

        func run() throws {
            let withdrawal = Withdrawal(by: options.actor, reason: why.reason)
            let outcome = try options.configuration().withStore {
                try Entries(options.session(), in: $0).withdrawNumbered(number, withdrawal)
            }
            options.report(outcome.sentence)
        }
    }
}

extension WithdrawalResult {
    /// Of entries.
    var sentence: String { "withdrawal \(number): \(count == 1 ? "1 entry is" : "\(count) entries are") hidden" }
}

/// The value of an option.
func reasonOption(_ text: String) throws -> Reason {
    guard let reason = Reason(text) else {
        throw ValidationError("a reason takes one line of 1 to \(Reason.lengthLimit) characters")
    }
    return reason
}

/// Why something is withdrawn.
struct ReasonOption: ParsableArguments {
    @Option(
        help: "Why, in a line: uploaders are told.",
        transform: reasonOption)
    var reason: Reason
}

struct BlobCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "blob", abstract: "Single blobs.", subcommands: [BlobWithdraw.self])

    struct BlobWithdraw: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "withdraw", abstract: "Hide a blob at once, and block its name; its bytes are kept.",
            discussion: """
                Until the withdrawal is lifted, downloads of it get 404, and uploads 403 with the reason. To be run on \
                the machine that has the store.
                """)
        @OptionGroup var options: AdminOptions
        @Argument(help: "Its SHA-512, 128 hexadecimal digits.", transform: BlobCommand.digest) var hash: Digest
        @OptionGroup var why: ReasonOption

        func run() throws {
            let withdrawal = Withdrawal(by: options.actor, reason: why.reason)
            let outcome = try options.configuration().withStore {
                try BlobRepository($0, options.session()).withdraw(hash, withdrawal)
            }
            options.report("withdrawal \(outcome.number): the blob is hidden")
        }
    }

    static func digest(_ text: String) throws -> Digest {
        guard let digest = Digest(text) else { throw ValidationError("a SHA-512 takes 128 hexadecimal digits") }
        return digest
    }
}

struct WithdrawalCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "withdrawal", abstract: "What was withdrawn, by whom and why.",
        subcommands: [WithdrawalList.self, WithdrawalLift.self])

    struct WithdrawalList: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "list", abstract: "List all withdrawals, lifted ones too.")
        @OptionGroup var options: AdminOptions

        func run() throws { try options.show(try Withdrawals(options.session()).table()) }
    }

    struct WithdrawalLift: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "lift", abstract: "Show again, byte for byte, what a withdrawal has hidden.",
            discussion: """
                A blob's bytes are verified before; damaged ones stay hidden. To be run on the machine that has the \
                store.
                """)
        @OptionGroup var options: AdminOptions
        @Argument(help: "As `withdrawal list` shows it.") var number: Int

        func run() throws {
            let isWhole = try options.configuration().withStore {
                try BlobRepository($0, options.session()).lift(number, by: options.actor)
            }
            options.report("withdrawal \(number) is lifted")
            if !isWhole { options.report("warning: the blob's bytes are gone: its next upload brings them back") }
        }
    }
}
