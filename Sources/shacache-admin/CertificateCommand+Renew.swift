import ArgumentParser
import Glibc
import OpenSSL
import ShaCache
import Storage
import System

extension CertificateCommand {
    struct CertificateRenew: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "renew",
            abstract: "Make the next certificate for a key that its owner has: nothing secret travels.",
            discussion: """
                The old certificate goes on until it expires or is revoked. Refused are certificates that are revoked, \
                or whose key has another one that is; those of disabled accounts; and those of other authorities, \
                which renew theirs: their next ones are for `certificate register`.
                """)
        @OptionGroup var options: AdminOptions
        @Argument(
            help: """
                The fingerprint, or the unique beginning of it (at least 8 digits); or the certificate's file, in PEM.
                """)
        var certificate: String
        @Option(help: "The new certificate's file; it is not overwritten.")
        var out: String
        @OptionGroup var validity: Validity

        func run() throws {
            let certificates = Certificates(try options.session())
            let (record, old) = try found(in: certificates)
            try check(record)
            let authority = try options.configuration().authority()
            let new = try authority.renew(old, commonName: record.account, days: validity.days)
            try certificates.handOver(new, of: record.account, origin: .renewed, by: options.actor) {
                // Again, because now it can't be revoked before the end of the transaction.
                try check(certificates.record(record.fingerprint))
                return [try NewFile(new, at: out)]
            }
            options.report(
                "wrote \(out), for \(record.account); the old one is valid until \(Timestamp(record.notAfter))")
            options.reportEnd(of: new, from: authority)
        }

        private func found(in certificates: Certificates) throws -> (
            record: CertificateRecord, certificate: Certificate
        ) {
            if certificate.withFileName({ access($0, F_OK) }) == 0 {
                let given = try Certificate(pem: contents(of: certificate))
                return (try certificates.record(hex(given.fingerprint())), given)
            }
            let record = try certificates.record(digits(ofFingerprint: certificate))
            guard let kept = try record.certificate() else {
                throw CommandError("\(record.fingerprint): only its fingerprint was kept, so give its file")
            }
            return (record, kept)
        }

        private func check(_ record: CertificateRecord) throws {
            let name = record.fingerprint
            if record.isRevoked { throw CommandError("\(name): is revoked") }
            if !record.isEnabled { throw CommandError("\(name): the account \(record.account) is disabled") }
            // Its authority may revoke it, and a certificate of ours for the same key would stay valid.
            if record.origin == .registered {
                throw CommandError("\(name): another authority made it, and renews it; register the next one")
            }
        }
    }
}
