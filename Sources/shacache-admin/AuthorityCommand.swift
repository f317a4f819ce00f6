import ArgumentParser
import Configuration
import Foundation
import OpenSSL

struct AuthorityCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ca", abstract: "The authority that makes client certificates.",
        subcommands: [AuthorityCreate.self])

    struct AuthorityCreate: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "create", abstract: "Make the authority's key and certificate, in the files that [ca] names.",
            discussion: """
                nginx trusts the certificate (ssl_client_certificate). The key makes accounts' certificates: keep it \
                where only operators come, which need not be the server. Nothing is ever overwritten. With the \
                authority end all certificates that it made, so it lasts ten years.
                """)
        @OptionGroup var options: AdminOptions
        @Option(help: "The authority's common name.")
        var name = "ShaCache CA"
        @Option(help: "How long it is valid.")
        var days = 3650

        func validate() throws { try Validity.check(days) }

        func run() throws {
            let configuration = try options.configuration()
            try configuration.createAuthority(name: name, days: days)
            let files = try configuration.authorityFiles()
            options.report("wrote \(files.key) and \(files.certificate)")
        }
    }
}

extension Configuration {
    /// Makes the files that [ca] names.
    func createAuthority(name: String, days: Int) throws {
        let files = try authorityFiles()
        let key = try PrivateKey.generate()
        let certificate = try CertificateAuthority.create(name: name, key: key, days: days)
        try write([
            NewFile(key, at: files.key, passphrase: files.passphrase()), NewFile(certificate, at: files.certificate),
        ])
    }

    func authorityFiles() throws -> CertificateAuthorityFiles {
        guard let ca else { throw CommandError("the configuration has no section [ca]") }
        return ca
    }

    func authority() throws -> CertificateAuthority {
        let files = try authorityFiles()
        let end = try Certificate(pem: contents(of: files.certificate)).notAfter
        guard end > Int(Date.now.timeIntervalSince1970) else {
            throw CommandError("\(files.certificate): the authority expired at \(Timestamp(end))")
        }
        return try files.authority { passphraseFromTerminal("Passphrase of \(files.key): ") }
    }
}
