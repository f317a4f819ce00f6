import COpenSSL

/// A public key that checks signatures.
///
/// Several threads may use it at once: OpenSSL counts references atomically, and nothing changes it once it is made.
public final class PublicKey: @unchecked Sendable {
    let handle: OpaquePointer  // EVP_PKEY *

    /// Takes ownership of the handle.
    init(owning handle: OpaquePointer) { self.handle = handle }

    deinit { EVP_PKEY_free(handle) }

    /// - Parameter der: a SubjectPublicKeyInfo (RFC 5280, 4.1).
    public convenience init(der: [UInt8]) throws {
        self.init(
            owning: try der.withUnsafeBufferPointer { buffer in
                var cursor = buffer.baseAddress
                return try require(d2i_PUBKEY(nil, &cursor, buffer.count), "read a public key")
            })
    }

    /// The SubjectPublicKeyInfo in DER.
    public func der() throws -> [UInt8] {
        try encoded("write a public key") { i2d_PUBKEY(handle, $0) }
    }

    public var isRSA: Bool { EVP_PKEY_get_base_id(handle) == EVP_PKEY_RSA }

    /// The SHA-256 of the DER form.
    public func fingerprint() throws -> [UInt8] { Hash.digest(.sha256, of: try der()) }

    /// Whether every TLS library of today takes it in a certificate, and at a bounded cost: RSA of 2048 to 8192 bits, EC
    /// on the curves P-256, P-384 and P-521, and Ed25519.
    public var isCommonInTLS: Bool {
        switch EVP_PKEY_get_base_id(handle) {
        case EVP_PKEY_RSA: return (2048...8192).contains(bits)
        case EVP_PKEY_EC:
            var name = [CChar](repeating: 0, count: 64)
            // Fails for a curve without a name.
            guard EVP_PKEY_get_group_name(handle, &name, name.count, nil) == 1 else { return false }
            let curve = String(decoding: name.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
            return ["prime256v1", "secp384r1", "secp521r1"].contains(curve)
        default: return EVP_PKEY_get_base_id(handle) == EVP_PKEY_ED25519
        }
    }

    public var bits: Int { Int(EVP_PKEY_get_bits(handle)) }

    /// How many bytes a signature has at most; with RSA, each has so many.
    public var signatureSize: Int { Int(EVP_PKEY_get_size(handle)) }

    /// Whether `signature` was made over `message` with the matching private key, by one of the algorithms
    /// (for RSA: PKCS#1 v1.5, which is OpenSSL's default padding). What stands behind its end counts for nothing, as
    /// for `openssl dgst -verify`, which the deployed clients call: it reads no more.
    ///
    /// - Throws: when OpenSSL doesn't offer one of the algorithms: then the signature may be right or wrong.
    public func verifies(_ bytes: [UInt8], of message: [UInt8], withOneOf algorithms: [Hash.Algorithm])
        throws(OpenSSLError) -> Bool
    {
        for algorithm in algorithms { try algorithm.require() }
        let signature = Array(bytes.prefix(signatureSize))
        guard isRSA else { return algorithms.contains { verifies(signature, of: message, with: $0) } }
        // What costs time is done once, whatever the number of algorithms.
        guard let signed = recovered(signature) else { return false }
        return algorithms.contains { $0.digestInfo(of: message) == signed }
    }

    /// What an RSA signature holds: the DigestInfo of RFC 8017 (9.2). nil when another key made it.
    private func recovered(_ signature: [UInt8]) -> [UInt8]? {
        guard let context = EVP_PKEY_CTX_new(handle, nil) else { return nil }
        defer {
            EVP_PKEY_CTX_free(context)
            ERR_clear_error()
        }
        guard EVP_PKEY_verify_recover_init(context) == 1,
            EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PADDING) == 1
        else { return nil }
        var size = signatureSize
        var content = [UInt8](repeating: 0, count: size)
        guard EVP_PKEY_verify_recover(context, &content, &size, signature, signature.count) == 1 else { return nil }
        return Array(content[..<size])
    }

    private func verifies(_ signature: [UInt8], of message: [UInt8], with algorithm: Hash.Algorithm) -> Bool {
        guard let context = EVP_MD_CTX_new() else { return false }
        defer {
            EVP_MD_CTX_free(context)
            // A signature that does not verify leaves its reason behind on the thread's queue.
            ERR_clear_error()
        }
        guard EVP_DigestVerifyInit(context, nil, algorithm.type, nil, handle) == 1 else { return false }
        return EVP_DigestVerify(context, signature, signature.count, message, message.count) == 1
    }
}
