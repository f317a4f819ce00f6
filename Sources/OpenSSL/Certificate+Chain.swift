import COpenSSL

/// Why nginx would refuse the client certificates of an authority.
public struct UntrustedChain: Error, CustomStringConvertible {
    public let description: String
}

extension Certificate {
    /// All certificates of a file; text around them is ignored.
    ///
    /// - Throws: `OpenSSLError` also when there is none.
    public static func list(pem: [UInt8]) throws -> [Certificate] {
        let results = each(pem: pem)
        // Of a text without any, OpenSSL says why.
        return results.isEmpty ? [try Certificate(pem: pem)] : try results.map { try $0.get() }
    }

    /// Each certificate of a text by itself, so that one that can't be read keeps none of the others out.
    public static func each(pem: [UInt8]) -> [Result<Certificate, any Error>] {
        let begin = Array("-----BEGIN ".utf8)
        let labels = ["", "X509 ", "TRUSTED "].map { Array("\($0)CERTIFICATE-----".utf8) }
        return pem.split(separator: begin, omittingEmptySubsequences: false).dropFirst()
            .filter { block in labels.contains { block.starts(with: $0) } }
            .map { block in Result { try Certificate(pem: begin + block) } }
    }

    /// Verifies as nginx verifies a client's, with `ssl_client_certificate` naming these authorities: the chain must
    /// end in one that vouches for itself, within nginx's `ssl_verify_depth` and Debian's security level.
    ///
    /// - Parameter asClient: otherwise only the chain counts, not what the certificate is for.
    /// - Throws: `UntrustedChain`.
    func verify(trusting authorities: [Certificate], asClient: Bool) throws {
        let store = try require(X509_STORE_new(), "verify a certificate")
        defer { X509_STORE_free(store) }
        for authority in authorities { try check(X509_STORE_add_cert(store, authority.handle), "verify a certificate") }
        let context = try require(X509_STORE_CTX_new(), "verify a certificate")
        defer {
            X509_STORE_CTX_free(context)
            ERR_clear_error()
        }
        try check(X509_STORE_CTX_init(context, store, handle, nil), "verify a certificate")
        let parameters = X509_STORE_CTX_get0_param(context)
        X509_VERIFY_PARAM_set_depth(parameters, 2)
        X509_VERIFY_PARAM_set_auth_level(parameters, 2)
        if asClient {
            try check(X509_VERIFY_PARAM_set_purpose(parameters, X509_PURPOSE_SSL_CLIENT), "verify a certificate")
        }
        guard X509_verify_cert(context) != 1 else { return }
        throw UntrustedChain(description: Self.reason(context))
    }

    private static func reason(_ context: OpaquePointer) -> String {
        let code = X509_STORE_CTX_get_error(context)
        let words = String(cString: X509_verify_cert_error_string(Int(code)))
        let missing = [
            X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
            X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE,
        ]
        guard let current = X509_STORE_CTX_get_current_cert(context) else { return words }
        let name = text(of: X509_get_subject_name(current))
        guard missing.contains(code) else { return "\(name): \(words)" }
        let issuer = text(of: X509_get_issuer_name(current))
        return """
            \(name): \(words): its issuer \(issuer) isn't in the file
            hint: append the certificates up to the one that vouches for itself, here and in nginx's ssl_client_certificate
            """
    }

    /// Looks at what is said in it alone.
    ///
    /// - Throws: `UntrustedChain` when it may issue no client certificates.
    func checkMayIssue() throws {
        guard X509_check_ca(handle) != 0 else {
            // Without the extension, all bits are set.
            let mayNotSign = X509_get_key_usage(handle) & UInt32(KU_KEY_CERT_SIGN) == 0
            throw UntrustedChain(
                description: "\(subject): is no authority: "
                    + (mayNotSign ? "its keyUsage lacks keyCertSign" : "its basicConstraints don't say CA:TRUE"))
        }
        guard X509_check_purpose(handle, X509_PURPOSE_SSL_CLIENT, 1) != 0 else {
            throw UntrustedChain(description: "\(subject): its extendedKeyUsage is not for client certificates")
        }
    }
}
