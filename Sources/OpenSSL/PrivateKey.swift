import COpenSSL
import Glibc

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

    /// - Parameter passphrase: never asked for on the terminal.
    /// - Throws: `HasPassphrase` when the key has one and none is given, `WrongPassphrase` when it has another.
    public convenience init(pem: [UInt8], passphrase: [UInt8]? = nil) throws {
        let answer = PassphraseAnswer(passphrase)
        let handle = try withReader(pem) { bio in
            PEM_read_bio_PrivateKey(bio, nil, PassphraseAnswer.callback, Unmanaged.passUnretained(answer).toOpaque())
        }
        guard let handle else {
            let error = OpenSSLError("read a private key")
            guard answer.wasAsked else { throw error }
            guard passphrase != nil else { throw HasPassphrase() }
            // A wrong one fails in many ways, since it may yield bytes that look decrypted; a cipher of old in this
            // one.
            guard error.reasons.contains(where: { $0.hasSuffix(":digital envelope routines::unsupported") }) else {
                throw WrongPassphrase()
            }
            throw error
        }
        self.init(owning: handle)
    }

    /// The key can't be read without its passphrase.
    public struct HasPassphrase: Error, CustomStringConvertible {
        public let description = "read a private key: it has a passphrase"
    }

    /// The key can't be read with the passphrase that was given.
    public struct WrongPassphrase: Error, CustomStringConvertible {
        public let description = "read a private key: the passphrase is not its own"
    }

    /// What certificates are signed with; nil where the algorithm has its own, as Ed25519 and Ed448.
    var digestOfCertificates: OpaquePointer? {
        var name = [CChar](repeating: 0, count: 64)
        // 2: there is no choice. (EVP_PKEY_get_default_digest_nid fails for these keys.)
        let isFixed = EVP_PKEY_get_default_digest_name(handle, &name, name.count) == 2
        return isFixed && strcmp(name, "UNDEF") == 0 ? nil : Hash.Algorithm.sha256.type
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

    /// PKCS#8; encrypted only with a passphrase.
    public func pem(passphrase: [UInt8]? = nil) throws -> String {
        let cipher = passphrase == nil ? nil : EVP_aes_256_cbc()
        let characters = (passphrase ?? []).map(CChar.init(bitPattern:))
        return try writtenText { bio in
            try check(
                PEM_write_bio_PKCS8PrivateKey(bio, handle, cipher, characters, Int32(characters.count), nil, nil),
                "write a private key")
        }
    }
}

/// What OpenSSL is told that asks for a passphrase, and whether it did.
private final class PassphraseAnswer {
    private let passphrase: [UInt8]?
    private(set) var wasAsked = false

    init(_ passphrase: [UInt8]?) { self.passphrase = passphrase }

    /// OpenSSL's pem_password_cb: writes into the buffer, and returns how many bytes, or -1.
    static let callback:
        @convention(c) (UnsafeMutablePointer<CChar>?, Int32, Int32, UnsafeMutableRawPointer?) -> Int32 =
            { buffer, size, _, answer in
                Unmanaged<PassphraseAnswer>.fromOpaque(answer!).takeUnretainedValue().fill(buffer!, size)
            }

    private func fill(_ buffer: UnsafeMutablePointer<CChar>, _ size: Int32) -> Int32 {
        wasAsked = true
        guard let passphrase, passphrase.count <= Int(size) else { return -1 }
        for (index, byte) in passphrase.enumerated() { buffer[index] = CChar(bitPattern: byte) }
        return Int32(passphrase.count)
    }
}

/// Asks for a passphrase on the terminal, which doesn't show it.
///
/// - Returns: nil when standard input is no terminal, or nothing was typed.
public func passphraseFromTerminal(_ prompt: String) -> [UInt8]? {
    guard isatty(STDIN_FILENO) == 1 else { return nil }
    var typed = [CChar](repeating: 0, count: 1024)
    guard EVP_read_pw_string(&typed, Int32(typed.count), prompt, 0) == 0 else { return nil }
    let bytes = typed.prefix { $0 != 0 }.map(UInt8.init(bitPattern:))
    return bytes.isEmpty ? nil : bytes
}
