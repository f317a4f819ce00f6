public import OpenSSL

/// A signer whose signatures this server knows. Nodes choose by themselves which signers they trust.
public struct Signer: Sendable {
    public typealias ID = Int

    public let id: ID
    public let key: PublicKey

    public init(id: ID, key: PublicKey) {
        self.id = id
        self.key = key
    }
}

/// What the server found out about an entry's signature when it was uploaded.
public enum SignatureResult: Equatable, Sendable {
    case verified(Signer.ID)
    case unsigned
    case unknownSigner
}

/// Which entries are taken.
public enum SignaturePolicy: String, Codable, Sendable {
    /// All, marked with what was found.
    case record
    /// Only those that a registered, unrevoked signer verifies.
    case require
}

extension Entry {
    /// Checks the signature against each signer's key, as the deployed clients do: RSA PKCS#1 v1.5 over the
    /// metadata's bytes.
    ///
    /// - Parameter algorithms: SHA-1 is what the protocol demands, and all that the deployed clients check.
    /// - Throws: when OpenSSL doesn't offer one of them.
    public func verify(
        against signers: [Signer], withOneOf algorithms: [Hash.Algorithm] = [.sha1, .sha256]
    ) throws(OpenSSLError) -> SignatureResult {
        guard !signature.isEmpty else { return .unsigned }
        let message = Array(metadata.utf8)
        for signer in signers where try signer.key.verifies(signatureBytes, of: message, withOneOf: algorithms) {
            return .verified(signer.id)
        }
        return .unknownSigner
    }

    /// Refuses bytes behind a signature's end, where others could append anything: one signature would make any number
    /// of entries.
    ///
    /// - Throws: `Refusal.malformedEntry`.
    public func checkSignatureLength(as signer: Signer) throws(Refusal) {
        guard signatureBytes.count <= signer.key.signatureSize else {
            throw .malformedEntry("the signature has bytes behind its end")
        }
    }
}

/// A TLS client certificate as nginx hands it on.
public struct ClientCertificate: Sendable {
    /// SHA-256 of the DER form.
    public let fingerprint: [UInt8]

    /// - Parameter escaped: PEM with percent escapes, nginx's `$ssl_client_escaped_cert`.
    /// - Returns: nil when it is not a certificate.
    public init?(escaped: [UInt8]) {
        guard let pem = percentDecoded(escaped), let fingerprint = try? Certificate(pem: pem).fingerprint() else {
            return nil
        }
        self.fingerprint = fingerprint
    }
}
