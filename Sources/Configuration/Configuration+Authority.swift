import Glibc
public import OpenSSL
import System

extension Configuration.CertificateAuthorityFiles {
    /// The authority that issues accounts' certificates.
    ///
    /// - Parameter ask: for the passphrase that no file has; nil without a terminal.
    /// - Throws: `ConfigurationError`, also when nginx would refuse what it issues.
    public func authority(askingForPassphrase ask: () -> [UInt8]?) throws -> CertificateAuthority {
        let chain = try naming(certificate) { try Certificate.list(pem: contents(of: certificate)) }
        let key = try privateKey(ask)
        return try naming(certificate) { try CertificateAuthority(chain: chain, key: key) }
    }

    /// Looks whether it can issue what nginx takes, as far as its files are on this machine: they need not be.
    ///
    /// - Returns: which check has to wait for a typed passphrase; nil when none has.
    /// - Throws: `ConfigurationError`.
    public func check() throws -> String? {
        guard let pem = try? contentsOfFile(certificate) else { return nil }
        try naming(certificate) { try CertificateAuthority.examine(Certificate.list(pem: pem)) }
        guard let pem = try? contentsOfFile(key) else { return nil }
        if passphraseFile == nil, hasPassphrase(pem) {
            return "\(key): has a passphrase, which is asked for on the terminal: no passphrase-file is set in [ca]"
        }
        _ = try authority { nil }
        return nil
    }

    private func hasPassphrase(_ pem: [UInt8]) -> Bool {
        do { _ = try PrivateKey(pem: pem) } catch { return error is PrivateKey.HasPassphrase }
        return false
    }

    /// What a new key is to be encrypted with; nil when no file is named.
    ///
    /// - Throws: `ConfigurationError`, also when others may read the file: as ssh does, which takes no such key.
    public func passphrase() throws -> [UInt8]? {
        try passphraseFile.map { file in
            var status = stat()
            if file.withFileName({ stat($0, &status) }) == 0, status.st_mode & 0o077 != 0 {
                let mode = String(status.st_mode & 0o777, radix: 8)
                throw ConfigurationError(
                    description: "\(file): others may read the passphrase (mode \(mode))\nhint: chmod 600 \(file)")
            }
            let passphrase = try contents(of: file).prefix { $0 != UInt8(ascii: "\n") }
            guard !passphrase.isEmpty else { throw ConfigurationError(description: "\(file): its first line is empty") }
            return Array(passphrase)
        }
    }

    private func privateKey(_ ask: () -> [UInt8]?) throws -> PrivateKey {
        let pem = try contents(of: key)
        guard hasPassphrase(pem) else { return try naming(key) { try PrivateKey(pem: pem) } }
        let fromFile = try passphrase()
        guard let passphrase = fromFile ?? ask() else {
            throw ConfigurationError(
                description: """
                    \(key): has a passphrase
                    hint: call this on a terminal, which asks for it; or write it into a file that only you can read, \
                    and name that in [ca] as passphrase-file
                    """)
        }
        return try naming(key) {
            do { return try PrivateKey(pem: pem, passphrase: passphrase) } catch is PrivateKey.WrongPassphrase {
                let which = passphraseFile.map { "in \($0) " } ?? ""
                throw ConfigurationError(description: "the passphrase \(which)is not its own")
            }
        }
    }

    private func contents(of path: String) throws(ConfigurationError) -> [UInt8] {
        do { return try contentsOfFile(path) } catch {
            throw ConfigurationError(description: error.description)
        }
    }

    private func naming<Result>(_ path: String, _ body: () throws -> Result) throws -> Result {
        do { return try body() } catch { throw ConfigurationError(description: "\(path): \(error)") }
    }
}
