import Glibc
import HTTP
import OpenSSL
import ShaCache
import System

/// An account that this machine asks a cache for. Its private key is made here, and stays here.
public struct AccountApplication {
    /// `https://`, a host, and its port if it needs one.
    public let server: String
    private let cache: Cache

    public enum Answer: Sendable {
        /// - Parameter number: of the request, as the operator names it; nil when the server doesn't say.
        case waiting(number: String?)
        /// The certificate is there, and the configuration names it.
        ///
        /// - Parameter kept: the options that have another value than the server would have them, and stay.
        case granted(account: String, kept: [String])
    }

    /// - Parameter server: its URL, of which the host counts; nil: that of the configuration's upload URL.
    /// - Throws: `Unconfigured` without any; `UsageError` when it isn't one of HTTPS.
    public init(_ settings: Cache.Settings, server: String?) throws {
        let configured = [Direction.upload, .download].lazy.flatMap { direction in
            Use.allCases.lazy.compactMap { settings.configuration.endpoint(direction, .cache, for: $0)?.url }
        }
        guard let url = server ?? configured.first(where: { _ in true }) else {
            throw Unconfigured(
                description: "no cache to ask is named",
                hint: "say --server https://HOST, as its page or its operator does")
        }
        guard let origin = url.prefixMatch(of: /https:\/\/[^\/?#@\s]+/)?.0 else {
            throw UsageError(
                "\(withoutCredentials(url)): accounts are asked for over HTTPS, or somebody on the way could get yours",
                hint: "say --server https://HOST")
        }
        self.server = String(origin)
        cache = Cache(settings)
    }

    private var configuration: NodeConfiguration { cache.configuration }
    public var keyFile: String { configuration.accountKeyFile }
    public var certificateFile: String { configuration.accountCertificateFile }

    /// Asks for an account, unless that was done, and gets the certificate if it was approved. Makes the key if need be.
    ///
    /// - Throws: `CacheFailure.refused` also when the operator has refused it.
    public func request(name: String, contact: String) throws -> Answer {
        // One that has its certificate is not to wait in the list again, when the server has forgotten how it came.
        guard !exists(certificateFile) else { return try fetch() }
        // Before a key is made for it.
        do { _ = try AccountRequest(name: name, contact: contact, signingRequest: "") } catch {
            throw UsageError("\(error)")
        }
        let key = try key() ?? makeKey()
        let signingRequest = try CertificateRequest(commonName: name, key: key).pem()
        var request = request(.post, AccountRequest.path)
        let body = try AccountRequest(name: name, contact: contact, signingRequest: signingRequest).json
        request.body = RequestBody(Array(body.dumped().utf8))
        request.headers = [("Content-Type", "application/json")]
        return try take(cache.answer(to: request, isTrial: false), key)
    }

    /// Gets the certificate of a request that was made before, if it was approved.
    ///
    /// - Throws: `CacheFailure.missing` when the server knows none of this key; `.refused` when the operator has refused it.
    public func fetch() throws -> Answer {
        guard let key = try key() else {
            throw UsageError("\(keyFile): is not there", hint: "shacache account request makes the key, and asks")
        }
        let request = request(.get, "\(AccountRequest.path)/\(try fingerprint(of: key))")
        return try take(cache.answer(to: request, isTrial: false), key)
    }

    /// The SHA-256 of the public key, in hex: by it the operator knows who asks.
    public func fingerprint() throws -> String { try key().map(fingerprint) ?? "" }

    private func fingerprint(of key: PrivateKey) throws -> String { hex(try key.publicKey().fingerprint()) }

    private func request(_ method: HTTPMethod, _ path: String) -> HTTPRequest {
        var request = HTTPRequest(method, server + path)
        request.identity.authorityFile = configuration[.cacheAuthorityFile]
        return request
    }

    /// - Returns: nil when there is no such file.
    private func key() throws -> PrivateKey? {
        guard exists(keyFile) else { return nil }
        do {
            return try PrivateKey(pem: contentsOfFile(keyFile))
        } catch {
            throw UsageError("\("\(error)".naming(keyFile))", hint: "name another one with -O shacache-key-file=FILE")
        }
    }

    private func makeKey() throws -> PrivateKey {
        let key = try PrivateKey.generate()
        try makeDirectories(keyFile.parentDirectory)
        try createFile(keyFile, mode: 0o600, key.pem())
        return key
    }

    private func take(_ response: HTTPResponse, _ key: PrivateKey) throws -> Answer {
        guard response.status == 200 else {
            guard case .number(let number) = (try? JSON(response.body))?["number"] else { return .waiting(number: nil) }
            return .waiting(number: number)
        }
        guard let granted = GrantedAccount(body: response.body),
            let certificate = try? Certificate(pem: Array(granted.certificate.utf8)),
            try certificate.publicKey().der() == key.publicKey().der()
        else { throw CacheFailure.malformed("\(server): answered with no certificate of this machine's key") }
        try keep(certificate)
        let kept = try configuration.write(
            downloads: granted.downloadURL ?? server, uploads: granted.uploadURL ?? server)
        return .granted(account: granted.name, kept: kept)
    }

    private func keep(_ certificate: Certificate) throws {
        guard exists(certificateFile) else {
            try makeDirectories(certificateFile.parentDirectory)
            return try createFile(certificateFile, mode: 0o644, certificate.pem())
        }
        let old = try? Certificate(pem: contentsOfFile(certificateFile)).fingerprint()
        guard try old == certificate.fingerprint() else {
            throw UsageError(
                "\(certificateFile): is another certificate, and is not overwritten",
                hint: "move it away, or name another one with -O shacache-cert-file=FILE")
        }
    }
}
