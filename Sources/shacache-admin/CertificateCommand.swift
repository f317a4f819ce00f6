import ArgumentParser
import OpenSSL
import Storage

struct CertificateCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "certificate", abstract: "TLS client certificates: how a machine proves its account.",
        discussion: """
            An account may have several valid certificates at once: to change one, renew it, which keeps its key, or \
            issue the next, hand it over, then revoke the old one.
            """,
        subcommands: [
            CertificateIssue.self, CertificateSign.self, CertificateRenew.self, CertificateRegister.self,
            CertificateList.self, CertificateRevoke.self,
        ])

    struct CertificateIssue: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "issue", abstract: "Make a key and a certificate with our authority.")
        @OptionGroup var options: AdminOptions
        @Argument var account: String
        @Option(
            help: "The directory for ACCOUNT.key and ACCOUNT.crt, made if need be; nothing in it is overwritten.")
        var out: String
        @OptionGroup var validity: Validity

        func run() throws {
            let key = try PrivateKey.generate()
            let authority = try options.configuration().authority()
            let certificate = try authority.issue(commonName: account, key: key, days: validity.days)
            let paths = ["key", "crt"].map { "\(out)/\(account).\($0)" }
            try Certificates(options.session()).handOver(certificate, of: account, origin: .issued, by: options.actor) {
                try makePrivateDirectory(out)
                return try [NewFile(key, at: paths[0]), NewFile(certificate, at: paths[1])]
            }
            options.report("wrote \(paths[0]) and \(paths[1])")
            options.reportEnd(of: certificate, from: authority)
        }
    }

    struct CertificateSign: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "sign",
            abstract: "Make a certificate for a key that stays with its owner, from a certificate signing request.",
            discussion: "Of the request only the key counts; the certificate's name is the account's.")
        @OptionGroup var options: AdminOptions
        @Argument var account: String
        @Argument(help: "The request, PKCS#10 in PEM.") var request: String
        @Option(help: "The certificate's file; it is not overwritten.")
        var out: String
        @OptionGroup var validity: Validity

        func run() throws {
            let authority = try options.configuration().authority()
            let certificate = try authority.sign(
                CertificateRequest(pem: contents(of: request)), commonName: account, days: validity.days)
            try Certificates(options.session()).handOver(certificate, of: account, origin: .signed, by: options.actor) {
                [try NewFile(certificate, at: out)]
            }
            options.report("wrote \(out)")
            options.reportEnd(of: certificate, from: authority)
        }
    }

    struct CertificateRegister: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "register", abstract: "Accept a certificate that another authority made.",
            discussion: "nginx must trust that authority too: append its certificate to ssl_client_certificate's file.")
        @OptionGroup var options: AdminOptions
        @Argument var account: String
        @Argument(help: "The certificate in PEM.") var file: String

        func run() throws {
            let certificate = try Certificate(pem: contents(of: file))
            try Certificates(options.session()).add(
                certificate, of: account, origin: .registered, by: options.actor)
            options.report("registered \(certificate.subject)")
            if let digest = certificate.brokenDigest {
                options.report("warning: it is signed with \(digest), so nginx refuses it")
            }
            if !certificate.isStrongEnoughForTLS {
                options.report("warning: it has an \(certificate.keyName), so TLS refuses it")
            }
        }
    }

    struct CertificateList: ParsableCommand {
        static let configuration = CommandConfiguration(commandName: "list", abstract: "List certificates.")
        @OptionGroup var options: AdminOptions
        @Argument(help: "Only those of this account.") var account: String?

        func run() throws { try options.show(try Certificates(options.session()).table(of: account)) }
    }

    struct CertificateRevoke: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "revoke",
            abstract: "Refuse a certificate from its next request on, also on connections that stand.",
            discussion: "Another certificate for the same key goes on, and is named.")
        @OptionGroup var options: AdminOptions
        @Argument(help: "Its SHA-256 fingerprint, or the unique beginning of it (at least 8 digits).")
        var fingerprint: String

        func validate() throws { _ = try digits(ofFingerprint: fingerprint) }

        func run() throws {
            let certificates = Certificates(try options.session())
            let revoked = try certificates.revoke(digits(ofFingerprint: fingerprint), by: options.actor)
            options.report("revoked \(revoked.fingerprint) of \(revoked.account)")
            guard let certificate = try revoked.certificate() else { return }
            for other in try certificates.records(of: revoked.account)
            where try !other.isRevoked && other.hasKey(of: certificate) {
                options.report("warning: \(other.fingerprint) is for the same key, and is not revoked")
            }
        }
    }
}

/// - Returns: them in lower case.
func digits(ofFingerprint text: String) throws -> String {
    let digits = text.lowercased().replacing(":", with: "")
    guard digits.count >= 8, digits.allSatisfy(\.isHexDigit) else {
        throw ValidationError("a fingerprint takes 8 or more hexadecimal digits")
    }
    return digits
}

/// How long a certificate is valid.
struct Validity: ParsableArguments {
    @Option(help: "How long it is valid; never longer than its authority.")
    var days = 365

    func validate() throws { try Self.check(days) }

    static func check(_ days: Int) throws {
        // More than a lifetime; and OpenSSL counts seconds in a C long.
        guard (1...36_500).contains(days) else { throw ValidationError("--days takes 1 to 36500") }
    }
}

extension AdminOptions {
    /// Says so when a certificate got less time than was asked for.
    func reportEnd(of certificate: Certificate, from authority: CertificateAuthority) {
        guard certificate.notAfter == authority.notAfter else { return }
        report("warning: valid until \(Timestamp(certificate.notAfter)) only, when the authority expires")
    }
}
