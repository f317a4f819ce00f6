import COpenSSL

/// A private key. It leaves memory only as the PEM that the caller asks for.
public final class PrivateKey {
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

    /// PKCS#8, not encrypted.
    public func pem() throws -> String {
        try writtenText { bio in
            try check(PEM_write_bio_PKCS8PrivateKey(bio, handle, nil, nil, 0, nil, nil), "write a private key")
        }
    }
}
