import COpenSSL

/// Makes certificates: their signer, their lifetime, and their profile.
public struct CertificateAuthority {
    private var certificate: Certificate { chain[0] }
    /// With those that vouch for it, if it doesn't itself.
    private let chain: [Certificate]
    private let key: PrivateKey

    /// - Parameter chain: the authority's certificate; behind it those up to one that vouches for itself.
    /// - Throws: `UntrustedChain` when nginx would refuse what it issues.
    public init(chain: [Certificate], key: PrivateKey) throws {
        try Self.examine(chain)
        guard X509_check_private_key(chain[0].handle, key.handle) == 1 else {
            throw OpenSSLError("use the authority: its key does not belong to its certificate")
        }
        self.chain = chain
        self.key = key
        // Some things show only in what was issued: the length of the path, constraints of names.
        _ = try issue(commonName: "trial", key: .generate(), days: 1)
    }

    /// What can be said without the key.
    ///
    /// - Throws: `UntrustedChain` when nginx would refuse what it issues.
    public static func examine(_ chain: [Certificate]) throws {
        try chain[0].checkMayIssue()
        try chain[0].verify(trusting: chain, asClient: false)
    }

    public enum CertificateProfile {
        /// Signs other certificates.
        case authority
        /// Proves an account to the server, and can't serve as a server's certificate.
        case client
        /// Proves to clients that a server is the host that they mean.
        case server(host: String)
        /// Carries the key that checks an entry's signature: of such a certificate only the key counts.
        case signer

        /// OpenSSL's configuration syntax (x509v3_config).
        var extensions: [(Int32, String)] {
            switch self {
            case .authority:
                [
                    (NID_basic_constraints, "critical,CA:TRUE,pathlen:0"),
                    (NID_key_usage, "critical,keyCertSign,cRLSign"),
                    (NID_subject_key_identifier, "hash"),
                ]
            case .signer:
                [
                    (NID_basic_constraints, "critical,CA:FALSE"),
                    (NID_key_usage, "critical,digitalSignature"),
                    (NID_subject_key_identifier, "hash"),
                ]
            case .client:
                [
                    (NID_basic_constraints, "critical,CA:FALSE"),
                    (NID_key_usage, "critical,digitalSignature"),
                    (NID_ext_key_usage, "clientAuth"),
                    (NID_subject_key_identifier, "hash"),
                ]
            case .server(let host):
                [
                    (NID_basic_constraints, "critical,CA:FALSE"),
                    (NID_key_usage, "critical,digitalSignature"),
                    (NID_ext_key_usage, "serverAuth"),
                    (NID_subject_key_identifier, "hash"),
                    (NID_subject_alt_name, "\(host.isAddress ? "IP" : "DNS"):\(host)"),
                ]
            }
        }
    }

    /// A new authority that vouches for itself.
    public static func create(name: String, key: PrivateKey, days: Int) throws -> Certificate {
        try build(commonName: name, publicKey: key.handle, profile: .authority, days: days, issuer: nil, signer: key)
    }

    /// A certificate that vouches for itself, for nodes to list among those that they trust.
    public static func createSigner(commonName: String, key: PrivateKey, days: Int) throws -> Certificate {
        try build(commonName: commonName, publicKey: key.handle, profile: .signer, days: days, issuer: nil, signer: key)
    }

    /// Seconds since 1970. What it issues and signs ends no later.
    public var notAfter: Int { certificate.notAfter }

    /// A client certificate for a key that we made.
    public func issue(commonName: String, key: PrivateKey, days: Int) throws -> Certificate {
        try certify(key.handle, commonName: commonName, days: days)
    }

    /// A server's certificate for a key that we made.
    ///
    /// - Parameter host: the name or address by which clients reach it.
    public func issueForServer(host: String, key: PrivateKey, days: Int) throws -> Certificate {
        try Self.build(
            commonName: host, publicKey: key.handle, profile: .server(host: host), days: days, issuer: certificate,
            signer: self.key)
    }

    /// A client certificate for a key that we never see.
    ///
    /// Of the request only the key counts, and the proof that its sender holds it: the name is ours to give.
    public func sign(_ request: CertificateRequest, commonName: String, days: Int) throws -> Certificate {
        try certify(request.publicKey().handle, commonName: commonName, days: days)
    }

    /// A client certificate for the key of one that we made before: its owner keeps the key.
    public func renew(_ old: Certificate, commonName: String, days: Int) throws -> Certificate {
        try certify(old.publicKey().handle, commonName: commonName, days: days)
    }

    /// Verifies each new certificate as nginx verifies clients', so that none is issued which nginx would refuse.
    private func certify(_ key: OpaquePointer, commonName: String, days: Int) throws -> Certificate {
        let made = try Self.build(
            commonName: commonName, publicKey: key, profile: .client, days: days, issuer: certificate, signer: self.key)
        try made.verify(trusting: chain, asClient: true)
        return made
    }

    private static func build(
        commonName: String, publicKey: OpaquePointer, profile: CertificateProfile, days: Int, issuer: Certificate?,
        signer: PrivateKey
    ) throws -> Certificate {
        let certificate = Certificate(owning: try require(X509_new(), "make a certificate"))
        let handle = certificate.handle
        try check(X509_set_version(handle, Int(X509_VERSION_3)), "set the version")
        try setRandomSerial(handle)
        // An hour back: the clients' clocks aren't all right.
        _ = try require(X509_gmtime_adj(X509_getm_notBefore(handle), -3600), "set the validity")
        _ = try require(X509_gmtime_adj(X509_getm_notAfter(handle), days * 86_400), "set the validity")
        // A certificate is worth nothing once its authority has expired, whatever its own dates are.
        if let issuer, issuer.notAfter < certificate.notAfter {
            try check(X509_set1_notAfter(handle, X509_get0_notAfter(issuer.handle)), "set the validity")
        }
        try check(
            X509_NAME_add_entry_by_txt(
                X509_get_subject_name(handle), "CN", MBSTRING_UTF8, commonName, -1, -1, 0), "set the name")
        let issuerHandle = issuer?.handle ?? handle
        try check(X509_set_issuer_name(handle, X509_get_subject_name(issuerHandle)), "set the issuer")
        try check(X509_set_pubkey(handle, publicKey), "set the key")
        for (identifier, value) in profile.extensions {
            try add(identifier, value, to: handle, issuer: issuerHandle)
        }
        // An authority that others made may have no identifier to name.
        if let issuer, X509_get0_subject_key_id(issuer.handle) != nil {
            try add(NID_authority_key_identifier, "keyid:always", to: handle, issuer: issuerHandle)
        }
        guard X509_sign(handle, signer.handle, signer.digestOfCertificates) > 0 else {
            throw OpenSSLError("sign a certificate")
        }
        return certificate
    }

    /// 159 random bits: unguessable, and positive in the 20 bytes that RFC 5280 (4.1.2.2) allows.
    private static func setRandomSerial(_ certificate: OpaquePointer) throws {
        let number = try require(BN_new(), "make a serial number")
        defer { BN_free(number) }
        try check(BN_rand(number, 159, BN_RAND_TOP_ANY, BN_RAND_BOTTOM_ANY), "make a serial number")
        _ = try require(BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)), "set the serial number")
    }

    private static func add(_ identifier: Int32, _ value: String, to certificate: OpaquePointer, issuer: OpaquePointer)
        throws
    {
        var context = X509V3_CTX()
        X509V3_set_ctx(&context, issuer, certificate, nil, nil, 0)
        let made = try require(
            X509V3_EXT_conf_nid(nil, &context, identifier, value), "make the extension \(value)")
        defer { X509_EXTENSION_free(made) }
        try check(X509_add_ext(certificate, made, -1), "add the extension \(value)")
    }
}
