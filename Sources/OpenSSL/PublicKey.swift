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

    public var bits: Int { Int(EVP_PKEY_get_bits(handle)) }

    /// Whether `signature` was made over `message` with the matching private key
    /// (for RSA: PKCS#1 v1.5, which is OpenSSL's default padding).
    public func verifies(_ signature: [UInt8], of message: some Sequence<UInt8>, with algorithm: Hash.Algorithm) -> Bool
    {
        guard let context = EVP_MD_CTX_new() else { return false }
        defer {
            EVP_MD_CTX_free(context)
            // A signature that does not verify leaves its reason behind on the thread's queue.
            ERR_clear_error()
        }
        guard EVP_DigestVerifyInit(context, nil, algorithm.type, nil, handle) == 1 else { return false }
        let message = Array(message)
        return EVP_DigestVerify(context, signature, signature.count, message, message.count) == 1
    }
}
