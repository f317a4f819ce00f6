import COpenSSL

/// An X.509 certificate.
///
/// Several threads may use it at once: OpenSSL counts references atomically, and nothing changes it once it is made.
public final class Certificate: @unchecked Sendable {
    let handle: OpaquePointer  // X509 *

    /// Takes ownership of the handle.
    init(owning handle: OpaquePointer) { self.handle = handle }

    deinit { X509_free(handle) }

    /// - Parameter pem: the first certificate in it is read; text around it is ignored, as everywhere.
    public convenience init(pem: [UInt8]) throws {
        self.init(
            owning: try withReader(pem) { bio in
                try require(PEM_read_bio_X509(bio, nil, nil, nil), "read a certificate")
            })
    }

    public convenience init(der: [UInt8]) throws {
        self.init(
            owning: try der.withUnsafeBufferPointer { buffer in
                var cursor = buffer.baseAddress
                return try require(d2i_X509(nil, &cursor, buffer.count), "read a certificate")
            })
    }

    public func der() throws -> [UInt8] { try encoded("write a certificate") { i2d_X509(handle, $0) } }

    public func pem() throws -> String {
        try writtenText { bio in try check(PEM_write_bio_X509(bio, handle), "write a certificate") }
    }

    /// The SHA-256 of the DER form: it identifies a certificate of any issuer.
    public func fingerprint() throws -> [UInt8] {
        Hash.digest(.sha256, of: try der())
    }

    public func publicKey() throws -> PublicKey {
        PublicKey(owning: try require(X509_get_pubkey(handle), "read the certificate's key"))
    }

    public var subject: String { Self.text(of: X509_get_subject_name(handle)) }
    public var issuer: String { Self.text(of: X509_get_issuer_name(handle)) }

    /// The first common name of the subject; nil when it has none.
    public var commonName: String? {
        let name = X509_get_subject_name(handle)
        let index = X509_NAME_get_index_by_NID(name, NID_commonName, -1)
        guard index >= 0, let value = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, index)) else { return nil }
        var text: UnsafeMutablePointer<UInt8>?
        let count = ASN1_STRING_to_UTF8(&text, value)
        guard count >= 0, let text else { return nil }
        defer { CRYPTO_free(text, #file, #line) }
        return String(decoding: UnsafeBufferPointer(start: text, count: Int(count)), as: UTF8.self)
    }

    /// In hexadecimal, as `openssl x509 -serial` prints it.
    public var serial: String {
        guard let number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(handle), nil) else { return "" }
        defer { BN_free(number) }
        guard let text = BN_bn2hex(number) else { return "" }
        defer { CRYPTO_free(text, #file, #line) }
        return String(cString: text)
    }

    /// Seconds since 1970.
    public var notBefore: Int { Self.seconds(X509_get0_notBefore(handle)) }
    /// Seconds since 1970.
    public var notAfter: Int { Self.seconds(X509_get0_notAfter(handle)) }

    /// RFC 2253, as nginx's `$ssl_client_s_dn`.
    static func text(of name: OpaquePointer?) -> String {
        let written = try? writtenText { bio in
            X509_NAME_print_ex(bio, name, 0, name_as_rfc2253)
        }
        return written ?? ""
    }

    private static func seconds(_ time: UnsafePointer<ASN1_TIME>?) -> Int {
        let epoch = ASN1_TIME_set(nil, 0)
        defer { ASN1_TIME_free(epoch) }
        var days: Int32 = 0
        var seconds: Int32 = 0
        guard ASN1_TIME_diff(&days, &seconds, epoch, time) == 1 else { return 0 }
        return Int(days) * 86_400 + Int(seconds)
    }
}

extension Certificate {
    /// Whether clients take it for a server of that name or address.
    public func isFor(host: String) -> Bool {
        let isIt =
            host.isAddress
            ? X509_check_ip_asc(handle, host, 0) : X509_check_host(handle, host, host.utf8.count, 0, nil)
        return isIt == 1
    }

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

extension String {
    /// Whether it is an IP address, which certificates name in another way than hosts.
    var isAddress: Bool {
        guard let octets = a2i_IPADDRESS(self) else { return false }
        ASN1_OCTET_STRING_free(octets)
        return true
    }
}
