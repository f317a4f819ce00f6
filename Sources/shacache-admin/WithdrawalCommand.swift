import ArgumentParser
import Storage

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
                store, if it was a blob.
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
