import ShaCache
import Storage

extension Service {
    /// Finds out who uploads, as things stand at this moment: kept-alive and resumed TLS connections outlive a
    /// revocation, and this question does not.
    func identify(_ request: Request, upload: inout UploadRecord) throws {
        // On record also when it counts for nothing.
        upload.certificate = ClientCertificate(escaped: request.certificate)?.fingerprint
        switch request.certificateVerification {
        case "SUCCESS":
            try identifyByCertificate(upload: &upload)
        case "", "NONE":
            guard request.isLocalWriter else {
                throw Refusal.notAuthorized(
                    request.certificateVerification.isEmpty
                        ? "uploads are taken over HTTPS with a client certificate"
                        : "an upload needs a client certificate, and none was shown")
            }
            guard let account = try patiently({ try catalog.enabledAccount(named: "local") }) else {
                throw Refusal.notAuthorized("there is no enabled account named local")
            }
            upload.account = account
        case let verdict:
            throw Refusal.notAuthorized("the client certificate was refused (\(verdict))")
        }
    }

    private func identifyByCertificate(upload: inout UploadRecord) throws {
        guard let fingerprint = upload.certificate else {
            throw Refusal.notAuthorized("the client certificate can't be read")
        }
        switch try patiently({ try catalog.standing(ofCertificate: fingerprint) }) {
        case .valid(let account):
            upload.account = account
        case .unknown:
            throw Refusal.notAuthorized("the client certificate belongs to no account")
        case .revoked(let account):
            upload.account = account
            throw Refusal.notAuthorized("the client certificate of \(account.name) was revoked")
        case .disabled(let account):
            upload.account = account
            throw Refusal.notAuthorized("the account \(account.name) is disabled")
        }
    }
}
