import Foundation
public import OpenSSL

extension Configuration.CertificateAuthorityFiles {
    /// The authority that issues accounts' certificates.
    ///
    /// - Parameter ask: for the passphrase that no file has; nil when there is nobody to ask.
    /// - Throws: `ConfigurationError`, also when nginx would refuse what it issues.
    public func authority(askingForPassphrase ask: () -> [UInt8]?) throws -> CertificateAuthority {
        let chain = try naming(certificate) { try Certificate.list(pem: contents(of: certificate)) }
        let key = try privateKey(ask)
        return try naming(certificate) { try CertificateAuthority(chain: chain, key: key) }
    }

    /// Looks whether it can issue what nginx takes, as far as its files are on this machine: they need not be.
    ///
    /// - Throws: `ConfigurationError`.
    public func check() throws {
        guard let pem = try? contents(of: certificate) else { return }
        try naming(certificate) { try CertificateAuthority.examine(Certificate.list(pem: pem)) }
        guard let key = try? contents(of: key), (try? PrivateKey(pem: key)) != nil || passphraseFile != nil else {
            return
        }
        _ = try authority { nil }
    }

    /// What a new key is to be encrypted with; nil when no file is named.
    public func passphrase() throws -> [UInt8]? {
        try passphraseFile.map { file in
            let passphrase = try contents(of: file).prefix { $0 != UInt8(ascii: "\n") }
            guard !passphrase.isEmpty else { throw ConfigurationError(description: "\(file): its first line is empty") }
            return Array(passphrase)
        }
    }

    private func privateKey(_ ask: () -> [UInt8]?) throws -> PrivateKey {
        let pem = try contents(of: key)
        return try naming(key) {
            do {
                return try PrivateKey(pem: pem)
            } catch is PrivateKey.HasPassphrase {
                guard let passphrase = try passphrase() ?? ask() else {
                    throw ConfigurationError(
                        description: """
                            has a passphrase
                            hint: call this on a terminal, which asks for it; or write it into a file that only you can \
                            read, and name that in [ca] as passphrase-file
                            """)
                }
                return try PrivateKey(pem: pem, passphrase: passphrase)
            }
        }
    }

    private func contents(of path: String) throws -> [UInt8] {
        guard let data = FileManager.default.contents(atPath: path) else {
            throw ConfigurationError(description: "\(path): can't be read")
        }
        return [UInt8](data)
    }

    private func naming<Result>(_ path: String, _ body: () throws -> Result) throws -> Result {
        do { return try body() } catch { throw ConfigurationError(description: "\(path): \(error)") }
    }
}
