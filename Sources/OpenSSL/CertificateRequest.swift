import COpenSSL

/// A certificate signing request (PKCS#10, RFC 2986): a public key, and the proof that its sender holds the private one.
///
/// Several threads may use it at once: OpenSSL counts references atomically, and nothing changes it once it is made.
public final class CertificateRequest: @unchecked Sendable {
    let handle: OpaquePointer  // X509_REQ *

    /// Takes ownership of the handle.
    private init(owning handle: OpaquePointer) { self.handle = handle }

    deinit { X509_REQ_free(handle) }

    /// A request for a key of ours.
    public init(commonName: String, key: PrivateKey) throws {
        handle = try require(X509_REQ_new(), "make a certificate signing request")
        try check(
            X509_NAME_add_entry_by_txt(
                X509_REQ_get_subject_name(handle), "CN", MBSTRING_UTF8, commonName, -1, -1, 0), "set the name")
        try check(X509_REQ_set_pubkey(handle, key.handle), "set the key")
        guard X509_REQ_sign(handle, key.handle, key.digestOfCertificates) > 0 else {
            throw OpenSSLError("sign a certificate signing request")
        }
    }

    /// - Parameter pem: the first request in it is read; text around it is ignored.
    /// - Throws: `OpenSSLError` also when another key than its own signed it, and when the key is too weak for the deployed
    ///   clients' TLS (RSA under 2048 bits).
    public convenience init(pem: [UInt8]) throws {
        self.init(
            owning: try withReader(pem) { bio in
                // One that is encrypted would be asked a passphrase for on the terminal.
                try require(
                    PEM_read_bio_X509_REQ(bio, nil, { _, _, _, _ in -1 }, nil), "read a certificate signing request")
            })
        let key = try require(X509_REQ_get0_pubkey(handle), "read the request's key")
        try check(X509_REQ_verify(handle, key), "verify that the request was signed by its own key")
        guard EVP_PKEY_get_base_id(key) != EVP_PKEY_RSA || EVP_PKEY_get_bits(key) >= 2048 else {
            throw OpenSSLError("sign the request: an RSA key under 2048 bits can't be used for TLS")
        }
    }

    public func pem() throws -> String {
        try writtenText { bio in
            try check(PEM_write_bio_X509_REQ(bio, handle), "write a certificate signing request")
        }
    }

    public func publicKey() throws -> PublicKey {
        PublicKey(owning: try require(X509_REQ_get_pubkey(handle), "read the request's key"))
    }
}
