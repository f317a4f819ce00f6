import Configuration
import ShaCache
import Storage

/// The visitor of a page.
enum Visitor {
    case anybody
    /// An enabled account with the role `operator`.
    case operates(Account)
    /// A certificate was shown that doesn't open the operators' pages, and why.
    case refused(String)

    var isOperator: Bool {
        if case .operates = self { return true }
        return false
    }
}

extension Pages {
    /// Asked at each request, since a connection outlives a revocation.
    func visitor(_ request: PageRequest) throws -> Visitor {
        switch request.certificateVerification {
        case "", "NONE": return .anybody
        case "SUCCESS": break
        // It expired, say, or was made by an authority that this server doesn't know.
        case let verdict: return .refused("the certificate was refused (\(verdict))")
        }
        guard let fingerprint = ClientCertificate(escaped: request.certificate)?.fingerprint else {
            return .refused("the certificate can't be read")
        }
        switch try Identities(session).status(ofCertificate: fingerprint) {
        case .valid(let account):
            guard account.roles.contains(.operator) else {
                return .refused("the account \(account.name) doesn't have the role operator")
            }
            return .operates(account)
        case .unknown: return .refused("the certificate belongs to no account")
        case .revoked(let account): return .refused("the certificate of \(account.name) was revoked")
        case .expired(let account): return .refused("the certificate of \(account.name) has expired")
        case .disabled(let account): return .refused("the account \(account.name) is disabled")
        }
    }
}

/// Where clients reach this server: as configured, or else as the visitor did.
struct SiteAddress {
    /// Where nodes download, without a slash at the end. Over plain HTTP, unless configured otherwise: the deployed
    /// clients fail over HTTPS without a certificate.
    let downloads: String
    /// Where builders upload, and operators look.
    let uploads: String

    init(_ site: Configuration.Site, _ request: PageRequest) {
        // What a visitor calls us comes back in commands to copy.
        let isPlain =
            request.host.wholeMatch(of: /[A-Za-z0-9.-]+(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?/) != nil
        let host = isPlain ? request.host : "cache.example.org"
        downloads = site.downloadURL ?? "http://\(request.isSecure ? Self.withoutPort(host) : host)"
        uploads = site.uploadURL ?? "https://\(request.isSecure ? host : Self.withoutPort(host))"
    }

    /// The other protocol has another port, which only the operator knows.
    private static func withoutPort(_ host: String) -> String { host.replacing(/:[0-9]+$/, with: "") }
}
