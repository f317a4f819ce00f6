import COpenSSL

/// A private key. It leaves memory only as the PEM that the caller asks for.
///
/// Several threads may use it at once: OpenSSL counts references atomically, and nothing changes it once it is made.
public final class PrivateKey: @unchecked Sendable {
    let handle: OpaquePointer  // EVP_PKEY *

    private init(owning handle: OpaquePointer) { self.handle = handle }

    deinit { EVP_PKEY_free(handle) }

    /// A new key on the curve P-256: small, fast in a handshake, and known to every TLS client of the last ten years.
    public static func generate() throws -> PrivateKey {
        let context = try require(EVP_PKEY_CTX_new_id(EVP_PKEY_EC, nil), "make a key")
        defer { EVP_PKEY_CTX_free(context) }
        try check(EVP_PKEY_keygen_init(context), "make a key")
        try check(EVP_PKEY_CTX_set_ec_paramgen_curve_nid(context, NID_X9_62_prime256v1), "make a key")
        var key: OpaquePointer?
        try check(EVP_PKEY_keygen(context, &key), "make a key")
        return PrivateKey(owning: try require(key, "make a key"))
    }

    /// A new RSA key, which is what entries are signed with.
    public static func generateRSA(bits: Int) throws -> PrivateKey {
        let context = try require(EVP_PKEY_CTX_new_id(EVP_PKEY_RSA, nil), "make a key")
        defer { EVP_PKEY_CTX_free(context) }
        try check(EVP_PKEY_keygen_init(context), "make a key")
        try check(EVP_PKEY_CTX_set_rsa_keygen_bits(context, Int32(bits)), "make a key")
        var key: OpaquePointer?
        try check(EVP_PKEY_keygen(context, &key), "make a key")
        return PrivateKey(owning: try require(key, "make a key"))
    }

    /// - Parameter pem: unencrypted. An encrypted key is refused: there is nobody to ask for the passphrase.
    public convenience init(pem: [UInt8]) throws {
        let noPassphrase:
            @convention(c) (UnsafeMutablePointer<CChar>?, Int32, Int32, UnsafeMutableRawPointer?) -> Int32 =
                { _, _, _, _ in -1 }
        self.init(
            owning: try withReader(pem) { bio in
                try require(PEM_read_bio_PrivateKey(bio, nil, noPassphrase, nil), "read a private key")
            })
    }

    /// The public half.
    public func publicKey() throws -> PublicKey {
        try PublicKey(der: encoded("write a public key") { i2d_PUBKEY(handle, $0) })
    }

    /// A signature over `message` (for RSA: PKCS#1 v1.5, which is OpenSSL's default padding).
    public func sign(_ message: [UInt8], with algorithm: Hash.Algorithm) throws -> [UInt8] {
        try algorithm.require()
        let context = try require(EVP_MD_CTX_new(), "sign")
        defer { EVP_MD_CTX_free(context) }
        try check(EVP_DigestSignInit(context, nil, algorithm.type, nil, handle), "sign")
        var size = 0
        try check(EVP_DigestSign(context, nil, &size, message, message.count), "sign")
        var signature = [UInt8](repeating: 0, count: size)
        try check(EVP_DigestSign(context, &signature, &size, message, message.count), "sign")
        return Array(signature[..<size])
    }

    /// PKCS#8, not encrypted.
    public func pem() throws -> String {
        try writtenText { bio in
            try check(PEM_write_bio_PKCS8PrivateKey(bio, handle, nil, nil, 0, nil, nil), "write a private key")
        }
    }
}
