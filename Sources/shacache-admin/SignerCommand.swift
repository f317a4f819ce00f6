import ArgumentParser
import Foundation
import OpenSSL
import Storage

struct SignerCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "signer", abstract: "Whose signatures this server knows.",
        discussion: """
            Entries are marked with the signer whose key verifies them; with signatures = "require" no others are \
            taken. Nodes choose by themselves whom they trust: their own list is not this one.
            """,
        subcommands: [SignerAdd.self, SignerList.self, SignerRevoke.self])

    struct SignerAdd: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "add", abstract: "Register a signature certificate.")
        @OptionGroup var options: AdminOptions
        @Argument(help: "Lowercase letters, digits, dot, dash, underscore; at most 63.")
        var name: String
        @Argument(help: "The certificate in PEM. Only its RSA key counts: it may have expired.")
        var file: String

        func run() throws {
            let certificate = try Certificate(pem: contents(of: file))
            let key = try certificate.publicKey()
            guard key.isRSA else { throw CommandError("\(file): the protocol's signatures need an RSA key") }
            let session = try options.session()
            try Signers(session).add(name, publicKey: key.der(), certificate: certificate.pem(), by: options.actor)
            if key.bits < 2048 { options.report("warning: a key of \(key.bits) bits can be broken") }
            options.report("signer \(name) added")
            options.journal { try $0.append(signer: name, session) }
        }
    }

    struct SignerList: ParsableCommand {
        static let configuration = CommandConfiguration(commandName: "list", abstract: "List all signers.")
        @OptionGroup var options: AdminOptions

        func run() throws { try options.show(try Signers(options.session()).table()) }
    }

    struct SignerRevoke: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "revoke",
            abstract: "Count a signer's new signatures as unknown; entries that it signed before keep their mark.",
            discussion: """
                This is for good: neither the name nor the key can be added again. Who only changes keys adds the new \
                one under a new name first.

                If its key was compromised, say since when: the entries that it signed and that were put since \
                then are hidden, by one withdrawal, and new ones are refused. To be run on the machine that has the \
                store.
                """)
        @OptionGroup var options: AdminOptions
        @Argument var name: String
        @Option(help: "When its key was compromised: 2026-11-22, or 2026-11-22T10:30:00 (UTC).")
        var since: Timestamp?

        func validate() throws {
            guard let since, since.secondsSince1970 > Int(Date.now.timeIntervalSince1970) else { return }
            throw ValidationError("--since lies in the future")
        }

        func run() throws {
            let outcome = try options.configuration().withStore {
                try Signers(options.session()).revoke(
                    name, since: since?.secondsSince1970, by: options.actor, in: $0)
            }
            options.report("signer \(name) revoked")
            if let outcome {
                options.report(outcome.sentence)
            } else if since != nil {
                options.report("none is left to hide of what it signed since then")
            }
        }
    }
}
