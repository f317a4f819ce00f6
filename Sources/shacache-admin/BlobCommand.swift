import ArgumentParser
import ShaCache
import Storage

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
