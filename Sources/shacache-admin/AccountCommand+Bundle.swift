import Archives
import ArgumentParser
import Configuration
import Foundation
import OpenSSL
import Storage

extension AccountCommand {
    struct AccountBundle: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "bundle", abstract: "Make one archive with all that a new uploader needs.",
            discussion: """
                NAME-shacache.tar.gz: a key and a certificate, the server's authority, a configuration for \
                shacache and the older clients, and a README.txt with commands to try. The URLs are those of [site] in \
                the configuration. The archive holds a private key: hand it over as you would a password, then remove \
                it. With --csr it holds none: its README.txt says how to make a key and to ask for the certificate.
                """)
        @OptionGroup var options: AdminOptions
        @Argument(help: "The account.") var name: String
        @Option(
            help: """
                The archive, a tar.gz; it is not overwritten, and readable for you alone. NAME-shacache.tar.gz in the \
                current directory unless given.
                """)
        var out: String?
        @Flag(help: "Without key and certificate: the key is made by its owner, and stays there.")
        var csr = false
        @OptionGroup var validity: Validity

        func run() throws {
            let configuration = try options.configuration()
            let site = try ToldSite(configuration)
            let session = try options.session()
            guard let account = try Identities(session).enabledAccount(named: name) else {
                throw CommandError("there is no account \(name), or it is disabled")
            }
            let bundle = BundleArchive(account: account, site: site, keyIsMadeByOwner: csr)
            if csr {
                try writeWithoutKey(bundle)
            } else {
                try issue(bundle, Certificates(session), configuration.authority())
            }
            for role in [Role.blobs, .entries] where !account.roles.contains(role) {
                options.report("warning: the account lacks the role \(role.rawValue), which README.txt tries")
            }
        }

        private func issue(_ bundle: BundleArchive, _ certificates: Certificates, _ authority: CertificateAuthority)
            throws
        {
            let key = try PrivateKey.generate()
            let certificate = try authority.issue(commonName: name, key: key, days: validity.days)
            try certificates.handOver(certificate, of: name, origin: .issued, by: options.actor) {
                [archive(try bundle.archive(key: key.pem(), certificate: certificate.pem()))]
            }
            options.report("wrote \(path)")
            options.reportEnd(of: certificate, from: authority)
        }

        private func writeWithoutKey(_ bundle: BundleArchive) throws {
            try write([archive(bundle.archive())])
            options.report(
                """
                wrote \(path)
                when \(bundle.requestFile) comes back: shacache-admin certificate sign \(name) \(bundle.requestFile) \
                --out \(bundle.certificateFile)
                """)
        }

        private var path: String { out ?? "\(name)-shacache.tar.gz" }

        private func archive(_ contents: [UInt8]) -> NewFile { NewFile(contents: contents, path: path, mode: 0o600) }
    }
}

/// What a bundle tells of this server.
struct ToldSite {
    let name: String
    /// Without a slash at the end.
    let downloadURL: String
    /// Without a slash at the end.
    let uploadURL: String
    /// The authorities by which clients know the server, in PEM; nil when every system knows them.
    let authority: [UInt8]?

    /// - Throws: `CommandError` that names the option which is missing.
    init(_ configuration: Configuration) throws {
        let site = configuration.site
        guard let downloadURL = site.downloadURL else { throw Self.missing("download-url", "download") }
        guard let uploadURL = site.uploadURL else { throw Self.missing("upload-url", "upload") }
        guard uploadURL.hasPrefix("https:") else {
            throw CommandError("site.upload-url is \(uploadURL): over plain HTTP no certificate proves an account")
        }
        name = site.name
        (self.downloadURL, self.uploadURL) = (downloadURL, uploadURL)
        authority = try site.authority.map { file in
            // And nothing else: the file may hold the server's private key beside them.
            do { return try Certificate.list(pem: contents(of: file)).flatMap { Array(try $0.pem().utf8) } } catch let
                error as OpenSSLError
            {
                throw CommandError("site.authority, \(file): \(error)")
            }
        }
    }

    private static func missing(_ option: String, _ what: String) -> CommandError {
        CommandError("the configuration lacks \(option) in [site]: the bundle says where to \(what)")
    }
}
