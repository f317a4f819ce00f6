import ShaCache
import Storage

extension Service {
    /// Finds out who writes, as things stand at this moment: kept-alive and resumed TLS connections outlive a
    /// revocation, and this question does not.
    ///
    /// - Parameter certificate: becomes the SHA-256 of the one that was shown, also when it counts for nothing.
    /// - Parameter account: becomes whose that is, also when the account is refused.
    func identify(_ request: Request, certificate: inout [UInt8]?, account: inout Account?) throws -> Account {
        certificate = ClientCertificate(escaped: request.certificate)?.fingerprint
        switch request.certificateVerification {
        case "SUCCESS":
            return try identify(certificate, account: &account)
        case "", "NONE":
            guard request.isLocalWriter else {
                throw Refusal.notAuthorized(
                    request.certificateVerification.isEmpty
                        ? "\(request.isUpload ? "uploads" : "withdrawals") are taken over HTTPS with a client certificate"
                        : "\(request.isUpload ? "an upload" : "a withdrawal") needs a client certificate, and none was shown"
                )
            }
            account = try patiently { try catalog.enabledAccount(named: "local") }
            guard let account else { throw Refusal.notAuthorized("there is no enabled account named local") }
            return account
        case let verdict:
            throw Refusal.notAuthorized("the client certificate was refused (\(verdict))")
        }
    }

    private func identify(_ certificate: [UInt8]?, account: inout Account?) throws -> Account {
        guard let certificate else { throw Refusal.notAuthorized("the client certificate can't be read") }
        switch try patiently({ try catalog.standing(ofCertificate: certificate) }) {
        case .valid(let owner):
            account = owner
            return owner
        case .unknown:
            throw Refusal.notAuthorized("the client certificate belongs to no account")
        case .revoked(let owner):
            account = owner
            throw Refusal.notAuthorized("the client certificate of \(owner.name) was revoked")
        case .expired(let owner):
            account = owner
            throw Refusal.notAuthorized("the client certificate of \(owner.name) has expired")
        case .disabled(let owner):
            account = owner
            throw Refusal.notAuthorized("the account \(owner.name) is disabled")
        }
    }
}

extension Account {
    /// - Parameter what: the role allows, as a verb.
    func check(_ role: Role, to what: String) throws(Refusal) {
        guard roles.contains(role) else { throw .notAuthorized("the account \(name) may not \(what)") }
    }

    func check(_ key: Key) throws(Refusal) {
        guard let keyPrefixes, !keyPrefixes.contains(where: { key.text.utf8.starts(with: $0.utf8) }) else { return }
        throw .notAuthorized(
            "the account \(name) may put entries only under keys that begin with \(keyPrefixes.joined(separator: " or "))"
        )
    }
}
