import COpenSSL

/// A message digest over bytes that arrive in pieces.
public struct Hash: ~Copyable {
    public enum Algorithm: Sendable {
        /// MD5 names things, in the keys that the deployed clients make; it proves nothing.
        case md5
        case sha1, sha256, sha512

        /// Owned by libcrypto, never freed.
        var type: OpaquePointer {
            switch self {
            case .md5: EVP_md5()
            case .sha1: EVP_sha1()
            case .sha256: EVP_sha256()
            case .sha512: EVP_sha512()
            }
        }
    }

    private let context: OpaquePointer  // EVP_MD_CTX *

    public init(_ algorithm: Algorithm) {
        // Both fail only when out of memory, which Swift itself doesn't survive either.
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
