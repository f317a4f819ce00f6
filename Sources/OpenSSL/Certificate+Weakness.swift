import COpenSSL

extension Certificate {
    /// The digest that its issuer signed it with, where OpenSSL's security levels forbid it in TLS; else nil.
    public var brokenDigest: String? {
        var digest = NID_undef
        guard X509_get_signature_info(handle, &digest, nil, nil, nil) == 1, [NID_sha1, NID_md5].contains(digest) else {
            return nil
        }
        return digest == NID_sha1 ? "SHA-1" : "MD5"
    }

    /// Whether it has the strength that TLS asks of keys at Debian's security level: 112 bits, as RSA of 2048 bits has.
    public var isStrongEnoughForTLS: Bool {
        EVP_PKEY_get_security_bits(X509_get0_pubkey(handle)) >= 112
    }

    /// Which kind of key, for messages.
    public var keyName: String {
        let key = X509_get0_pubkey(handle)
        let kind = EVP_PKEY_get0_type_name(key).map { String(cString: $0) } ?? ""
        return "\(kind) key of \(EVP_PKEY_get_bits(key)) bits"
    }

    /// What an authority lacks for strict verifiers (OpenSSL's X509_V_FLAG_X509_STRICT, which Python sets
    /// from 3.13 on); nil when nothing.
    public var strictFault: String? {
        if X509_get_key_usage(handle) == .max { return "no keyUsage" }
        if X509_get0_subject_key_id(handle) == nil { return "no subjectKeyIdentifier" }
        let index = X509_get_ext_by_NID(handle, NID_basic_constraints, -1)
        guard index >= 0 else { return "no basicConstraints" }
        return X509_EXTENSION_get_critical(X509_get_ext(handle, index)) == 1
            ? nil : "basicConstraints that aren't critical"
    }
}
