import ShaCache
import Storage

extension Service {
    /// Identifies the account of a request: at each request, since TLS connections (kept alive or resumed) outlive a
    /// revocation. A remembered identity is confirmed by the transaction that stores something.
    ///
    /// - Parameter certificate: becomes the SHA-256 of the one that was shown, also when it counts for nothing.
    /// - Parameter account: becomes whose that is, also when the account is refused.
    func identify(_ request: Request, certificate: inout [UInt8]?, account: inout Account?) throws -> Account {
        certificate = identityCache.fingerprint(of: request.certificate)
        switch request.certificateVerification {
        case "SUCCESS":
            return try identify(certificate, account: &account)
        case "", "NONE":
            guard request.isLocalWriter else { throw request.needsCertificate }
            let local = try identityCache.account(nil) {
                guard
                    let local = try session.retryingWhileUnavailable({ try identities.enabledAccount(named: "local") })
                else { throw Refusal.notAuthorized("there is no enabled account named local", mend: Self.askOperator) }
                return local
            }
            account = local
            return local
        case let verdict:
            throw Refusal.notAuthorized("the client certificate was refused (\(verdict))", mend: Self.askForAnother)
        }
    }

    private func identify(_ certificate: [UInt8]?, account: inout Account?) throws -> Account {
        guard let certificate else {
            throw Refusal.notAuthorized("the client certificate can't be read", mend: Self.askForAnother)
        }
        let owner = try identityCache.account(certificate) { try self.owner(of: certificate, account: &account) }
        account = owner
        return owner
    }

    private func owner(of certificate: [UInt8], account: inout Account?) throws -> Account {
        switch try session.retryingWhileUnavailable({ try identities.status(ofCertificate: certificate) }) {
        case .valid(let owner):
            return owner
        case .unknown:
            throw Refusal.notAuthorized("the client certificate belongs to no account", mend: Self.askForAnother)
        case .revoked(let owner):
            account = owner
            throw Refusal.notAuthorized("the client certificate of \(owner.name) was revoked", mend: Self.askForAnother)
        case .expired(let owner):
            account = owner
            throw Refusal.notAuthorized("the client certificate of \(owner.name) has expired", mend: Self.askForAnother)
        case .disabled(let owner):
            account = owner
            throw Refusal.notAuthorized("the account \(owner.name) is disabled", mend: Self.askOperator)
        }
    }
    private var identities: Identities { Identities(session) }
}

extension Service {
    fileprivate static let askOperator = "ask the operator"
    fileprivate static let askForAnother = "ask the operator for one of an account"
}

extension Request {
    /// In the words of the deployed clients' options, which are of blobs (`shacache`) and of entries (`shadir`).
    fileprivate var needsCertificate: Refusal {
        let isUpload = method != RequestMethod.delete.rawValue
        let what = isUpload ? "upload" : "withdrawal"
        if certificateVerification.isEmpty {
            return .notAuthorized(
                "\(what)s are taken over HTTPS with a client certificate",
                mend: isUpload ? "let the options upload-... begin with https://" : nil)
        }
        let service = method == "POST" ? "shacache" : "shadir"
        return .notAuthorized(
            "\(isUpload ? "an" : "a") \(what) needs a client certificate, and none was shown",
            mend: isUpload ? "set \(service)-cert-file and \(service)-key-file" : nil)
    }
}

extension Account {
    /// - Parameter what: the role allows, as a verb.
    func checkRole(_ role: Role, to what: String) throws(Refusal) {
        guard roles.contains(role) else {
            throw .notAuthorized(
                "the account \(name) may not \(what)", mend: "ask the operator for its role \(role.rawValue)")
        }
    }

    func checkKeyPrefix(of key: Key) throws(Refusal) {
        guard let keyPrefixes, !keyPrefixes.contains(where: { key.text.utf8.starts(with: $0.utf8) }) else { return }
        throw .notAuthorized(
            "the account \(name) may put entries only under keys that begin with \(keyPrefixes.joined(separator: " or "))"
        )
    }
}

/// One thread's cache of accounts and signers, so that an upload needs no round trip for them. It may be outdated: the
/// transaction that stores something confirms it, and nothing is refused because of it before it was read anew.
struct IdentityCache {
    /// By certificate; nil is for writers without one.
    private var accounts: [[UInt8]?: Account] = [:]
    private var signers: KnownSigners?
    /// Of certificates, as nginx hands them on. They never change, and reading one takes longer than the rest of what the
    /// worker does for a small upload.
    private var fingerprints: [[UInt8]: [UInt8]] = [:]
    /// Whether something was remembered, and not read, since this was reset.
    private(set) var wasUsed = false

    /// There are as many as certificates in use.
    private static let mostAccounts = 10_000
    /// Each has some 2 kB.
    private static let mostFingerprints = 200

    mutating func beginAttempt() { wasUsed = false }

    /// - Parameter escaped: a certificate as nginx hands it on.
    /// - Returns: the SHA-256 of its DER form; nil when it is no certificate.
    mutating func fingerprint(of escaped: [UInt8]) -> [UInt8]? {
        if let fingerprint = fingerprints[escaped] { return fingerprint }
        guard let fingerprint = ClientCertificate(escaped: escaped)?.fingerprint else { return nil }
        if fingerprints.count >= Self.mostFingerprints { fingerprints = [:] }
        fingerprints[escaped] = fingerprint
        return fingerprint
    }

    /// - Parameter read: throws when the certificate counts for nothing.
    mutating func account(_ certificate: [UInt8]?, _ read: () throws -> Account) rethrows -> Account {
        if let account = accounts[certificate] {
            wasUsed = true
            return account
        }
        let account = try read()
        if accounts.count >= Self.mostAccounts { accounts = [:] }
        accounts[certificate] = account
        return account
    }

    mutating func signers(_ read: () throws -> KnownSigners) rethrows -> KnownSigners {
        if let signers {
            wasUsed = true
            return signers
        }
        let read = try read()
        signers = read
        return read
    }

    mutating func forget(_ certificate: [UInt8]?) {
        accounts[certificate] = nil
        signers = nil
    }
}
