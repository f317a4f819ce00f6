import Glibc
public import OpenSSL
import ShaCache

/// How entries are signed, and whose signatures are believed.
public struct Signature: Sendable {
    /// nil leaves entries unsigned.
    public let key: PrivateKey?
    public let certificates: TrustedCertificates

    /// Whether this machine believes what it signs; true also when it signs nothing.
    public var isTrustedHere: Bool {
        guard let key, let half = try? key.publicKey() else { return true }
        return certificates.member(matching: half) != nil
    }

    /// For those who only read.
    public init(trusting certificates: TrustedCertificates) {
        key = nil
        self.certificates = certificates
    }

    /// - Throws: `Misuse` when a key is set and can't be read.
    public init(_ configuration: NodeConfiguration, reporter: Reporter) throws {
        key = try configuration.signingKey()
        certificates = configuration.trustedCertificates(reporter: reporter)
    }
}

extension NodeConfiguration {
    /// The key that this machine signs entries with; nil when none is set.
    ///
    /// - Throws: `Misuse` when it is set and can't be read.
    public func signingKey() throws -> PrivateKey? {
        guard let path = self[.signatureKeyFile] else { return nil }
        do {
            return try PrivateKey(pem: contents(of: path))
        } catch {
            let hint = exists(path) ? "name a PEM file that you may read" : "shacache generate-signature-key makes one"
            throw Misuse("signature-private-key-file: \(error)", hint: hint)
        }
    }

    public func trustedCertificates(reporter: Reporter) -> TrustedCertificates {
        TrustedCertificates(self[.signatureCertificates] ?? "", reporter: reporter)
    }
}

extension Entry {
    /// - Parameter key: nil makes an unsigned entry.
    init(metadata: JSON, signedWith key: PrivateKey?) throws {
        let text = metadata.dumped()
        // The deployed clients check nothing but SHA-1.
        let signature = try key.map { base64(try $0.sign(Array(text.utf8), with: .sha1)) }
        try self.init(metadata: text, signature: signature ?? "")
    }
}
