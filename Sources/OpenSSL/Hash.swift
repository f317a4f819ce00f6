import COpenSSL

/// A message digest over bytes that arrive in pieces.
public struct Hash: ~Copyable {
    public enum Algorithm: Sendable {
        /// MD5 names things, in the keys that the deployed clients make; it proves nothing.
        case md5
        /// Signatures have it: it is all that the deployed clients check.
        case sha1
        case sha256, sha512

        /// Looks whether OpenSSL offers it here: its configuration decides, and FIPS knows no MD5.
        ///
        /// - Throws: when it doesn't. Hashing with it then ends the program.
        public func require() throws(OpenSSLError) { _ = try fetched.get() }

        /// What every command and every worker hashes with: blobs, certificates, pairs.
        public static func requireSHA2() throws(OpenSSLError) {
            try Self.sha256.require()
            try Self.sha512.require()
        }

        /// Owned by libcrypto, never freed.
        var type: OpaquePointer {
            guard case .success(let type) = fetched else { preconditionFailure("hashes with what wasn't required") }
            return type
        }
    }

    private let context: OpaquePointer  // EVP_MD_CTX *

    public init(_ algorithm: Algorithm) {
        // Once fetched, both fail only when out of memory, which Swift itself doesn't survive either.
        context = EVP_MD_CTX_new()
        precondition(EVP_DigestInit_ex(context, algorithm.type, nil) == 1)
    }

    deinit { EVP_MD_CTX_free(context) }

    public func update(_ bytes: UnsafeRawBufferPointer) {
        precondition(EVP_DigestUpdate(context, bytes.baseAddress, bytes.count) == 1)
    }

    public consuming func finish() -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: Int(EVP_MAX_MD_SIZE)) { buffer, count in
            var length: UInt32 = 0
            precondition(EVP_DigestFinal_ex(context, buffer.baseAddress, &length) == 1)
            count = Int(length)
        }
    }

    public static func digest(_ algorithm: Algorithm, of bytes: some Sequence<UInt8>) -> [UInt8] {
        let hash = Hash(algorithm)
        if bytes.withContiguousStorageIfAvailable({ hash.update(UnsafeRawBufferPointer($0)) }) == nil {
            Array(bytes).withUnsafeBytes { hash.update($0) }
        }
        return hash.finish()
    }
}

extension Hash.Algorithm {
    /// Fetched at the first use, and kept: nothing changes an EVP_MD.
    private var fetched: Result<OpaquePointer, OpenSSLError> {
        switch self {
        case .md5: Self.md5Fetched
        case .sha1: Self.sha1Fetched
        case .sha256: Self.sha256Fetched
        case .sha512: Self.sha512Fetched
        }
    }

    // Pointers to what no thread changes.
    private nonisolated(unsafe) static let md5Fetched = fetch("MD5", ofOurOwn: true)
    private nonisolated(unsafe) static let sha1Fetched = fetch("SHA1")
    private nonisolated(unsafe) static let sha256Fetched = fetch("SHA2-256")
    private nonisolated(unsafe) static let sha512Fetched = fetch("SHA2-512")

    /// - Parameter ofOurOwn: whatever OpenSSL's configuration says, from libcrypto's own provider. That is for what
    ///   proves nothing: a configuration forbids what isn't safe enough to trust.
    private static func fetch(_ name: String, ofOurOwn: Bool = false) -> Result<OpaquePointer, OpenSSLError> {
        var context: OpaquePointer?  // OSSL_LIB_CTX *, kept as long as the digest
        if ofOurOwn {
            // A new one reads no openssl.cnf.
            context = OSSL_LIB_CTX_new()
            _ = OSSL_PROVIDER_load(context, "default")
        }
        guard let type = EVP_MD_fetch(context, name, ofOurOwn ? "-fips" : nil) else {
            return .failure(
                OpenSSLError(
                    "OpenSSL offers no \(name): its configuration (OPENSSL_CONF, else openssl.cnf) may have no provider of it"
                ))
        }
        return .success(type)
    }

    /// What an RSA signature over a message holds (RFC 8017, 9.2, note 1): which algorithm, and the digest.
    func digestInfo(of message: [UInt8]) -> [UInt8] { digestInfoPrefix + Hash.digest(self, of: message) }

    private var digestInfoPrefix: [UInt8] {
        switch self {
        case .md5:
            [
                0x30, 0x20, 0x30, 0x0c, 0x06, 0x08, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x02, 0x05, 0x05, 0x00, 0x04,
                0x10,
            ]
        case .sha1: [0x30, 0x21, 0x30, 0x09, 0x06, 0x05, 0x2b, 0x0e, 0x03, 0x02, 0x1a, 0x05, 0x00, 0x04, 0x14]
        case .sha256:
            [
                0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00,
                0x04, 0x20,
            ]
        case .sha512:
            [
                0x30, 0x51, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03, 0x05, 0x00,
                0x04, 0x40,
            ]
        }
    }
}
