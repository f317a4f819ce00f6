import Glibc
public import OpenSSL
import System

/// A key to sign entries with, and the certificate that nodes check its signatures by.
public struct SignaturePair {
    private let key: PrivateKey
    public let certificate: Certificate

    /// The deployed clients' own: a century, since of the certificate only the key counts.
    private static let days = 36_500

    /// - Parameter bits: of the RSA key.
    public init(commonName: String, bits: Int) throws {
        key = try PrivateKey.generateRSA(bits: bits)
        certificate = try CertificateAuthority.createSigner(commonName: commonName, key: key, days: Self.days)
    }

    /// - Throws: `UsageError` when there is something that writing the pair would replace.
    public static func checkFree(key keyFile: String, certificate certificateFile: String?) throws {
        for path in [certificateFile, keyFile].compactMap(\.self) where isTaken(path) {
            throw UsageError("\(path): exists, and is not overwritten")
        }
    }

    /// Writes the pair into new files; when one of them is there already, neither is written.
    ///
    /// - Parameter certificateFile: nil writes only the key.
    public func write(key keyFile: String, certificate certificateFile: String?) throws {
        try Self.checkFree(key: keyFile, certificate: certificateFile)
        try createFile(keyFile, mode: 0o600, key.pem())
        guard let certificateFile else { return }
        do {
            try createFile(certificateFile, mode: 0o644, certificate.pem())
        } catch {
            unlink(keyFile)
            throw error
        }
    }

    /// Takes back what `write` wrote.
    public func discard(key keyFile: String, certificate certificateFile: String?) {
        for path in [keyFile, certificateFile].compactMap(\.self) { unlink(path) }
    }

    /// A dangling link too.
    private static func isTaken(_ path: String) -> Bool { (try? fileStatus(path, following: false)) != nil }
}

/// What the older form of generate-signature-key reads from `slapos.cfg`.
extension NodeConfiguration {
    public func signaturePairFiles() throws -> (key: String, certificate: String) {
        guard let key = self[.signatureKeyFile], let certificate = self[.signatureCertificateFile] else {
            throw UsageError(
                "\(file ?? Self.defaultFile): sets not both signature-private-key-file and signature-certificate-file",
                hint: "set both in the section [networkcache], or give KEY_FILE and COMMON_NAME")
        }
        return (key, certificate)
    }

    /// The name of this machine in SlapOS, else its host name.
    public var commonName: String {
        if let computer = self[.computer] { return computer }
        return nodeName
    }
}
