import ArgumentParser
import OpenSSL
import Storage

struct SignerCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "signer", abstract: "Whose signatures this server knows.",
        discussion: """
            Entries are marked with the signer whose key verifies them; with signatures = "require" no others are \
            taken. Nodes choose by themselves whom they trust: their own list is not this one.
            """,
        subcommands: [Add.self, List.self, Revoke.self])

    struct Add: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "Register a signature certificate.")
        @OptionGroup var options: CommonOptions
        @Argument(help: "Lowercase letters, digits, dot, dash, underscore; at most 63.")
        var name: String
        @Argument(help: "The certificate in PEM. Only its RSA key counts: it may have expired.")
        var file: String

        func run() throws {
            let certificate = try Certificate(pem: contents(of: file))
            let key = try certificate.publicKey()
            guard key.isRSA else { throw Failure("\(file): the protocol's signatures need an RSA key") }
            try options.catalog().addSigner(
                name, publicKey: key.der(), certificate: certificate.pem(), by: options.actor)
            if key.bits < 2048 { options.report("warning: a key of \(key.bits) bits can be broken") }
            options.report("signer \(name) added")
        }
    }

    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(abstract: "List all signers.")
        @OptionGroup var options: CommonOptions

        func run() throws { try options.show(try options.catalog().signerTable()) }
    }

    struct Revoke: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Count a signer's new signatures as unknown; entries that it signed before keep their mark.",
            discussion: """
                This is for good: neither the name nor the key can be added again. Who only changes keys adds the new \
                one under a new name first.
                """)
        @OptionGroup var options: CommonOptions
        @Argument var name: String

        func run() throws {
            try options.catalog().revokeSigner(name, by: options.actor)
            options.report("signer \(name) revoked")
        }
    }
}
