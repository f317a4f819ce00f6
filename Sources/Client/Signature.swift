import Glibc
public import OpenSSL
public import ShaCache
import System

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

    /// Tries to sign, before anything is sent that the signature then lacks for.
    ///
    /// - Throws: `CannotSign`.
    public func checkSigning() throws { _ = try key?.signatureOfEntry([]) }

    /// For commands that only read.
    public init(trusting certificates: TrustedCertificates) {
        key = nil
        self.certificates = certificates
    }

    /// - Throws: `UsageError` when a key is set and can't be read.
    public init(_ configuration: NodeConfiguration, reporter: Reporter) throws {
        key = try configuration.signingKey()
        certificates = configuration.trustedCertificates(reporter: reporter)
    }
}

extension NodeConfiguration {
    /// The key that this machine signs entries with; nil when none is set.
    ///
    /// - Throws: `UsageError` when it is set and can't be read.
    public func signingKey() throws -> PrivateKey? {
        guard let path = self[.signatureKeyFile] else { return nil }
        do {
            return try PrivateKey(pem: contentsOfFile(path))
        } catch {
            let hint = exists(path) ? "name a PEM file that you may read" : "shacache generate-signature-key makes one"
            throw UsageError("signature-private-key-file: \(error)", hint: hint)
        }
    }

    public func trustedCertificates(reporter: Reporter) -> TrustedCertificates {
        TrustedCertificates(self[.signatureCertificates] ?? "", reporter: reporter)
    }
}

/// A signing key is there, and can't make the signature that nodes check.
struct CannotSign: HasHint, CustomStringConvertible {
    let cause: any Error

    var description: String { "make a signature with SHA-1: \(cause)" }
    var hint: String? {
        "nodes check no other signatures; where OpenSSL's configuration forbids it (FIPS, a security policy), sign on another machine"
    }
}

extension PrivateKey {
    /// - Throws: `CannotSign`.
    func signatureOfEntry(_ metadata: [UInt8]) throws -> [UInt8] {
        do {
            // The deployed clients check nothing but SHA-1.
            return try sign(metadata, with: .sha1)
        } catch {
            throw CannotSign(cause: error)
        }
    }
}

extension Entry {
    /// Of a download, by the URL of its origin: as the deployed clients list it under `Key.source`.
    ///
    /// - Parameter key: nil makes an unsigned entry.
    public static func source(url: String, naming digest: Digest, signedWith key: PrivateKey?) throws -> Entry {
        var metadata = Metadata()
        metadata.setDefault("url", url: url)
        return try Entry(metadata: metadata.object(naming: digest), signedWith: key)
    }

    /// - Parameter key: nil makes an unsigned entry.
    init(metadata: JSON, signedWith key: PrivateKey?) throws {
        let text = metadata.dumped()
        let signature = try key.map { base64(try $0.signatureOfEntry(Array(text.utf8))) }
        try self.init(metadata: text, signature: signature ?? "")
    }
}
