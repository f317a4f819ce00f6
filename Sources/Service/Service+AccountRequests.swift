import OpenSSL
import ShaCache
public import Storage

/// On what terms a server takes requests for accounts.
public struct AccountRequestTerms: Sendable {
    let limits: AccountRequests.Limits
    /// Where nodes download, and builders upload, as who asked is told; nil: is not.
    let downloadURL, uploadURL: String?

    public init(limits: AccountRequests.Limits, downloadURL: String?, uploadURL: String?) {
        self.limits = limits
        (self.downloadURL, self.uploadURL) = (downloadURL, uploadURL)
    }
}

/// What those who have no account ask for. It needs no secret: the private key never leaves its owner, and only who has it
/// can use the certificate.
extension Service {
    /// The same request again changes nothing, and is answered with what became of it.
    ///
    /// - Throws: `Refusal.malformedRequest`, also when the key isn't its sender's, or too weak.
    func requestAccount(_ request: Request) throws -> Response {
        try answerRequests(over: request) { terms in
            let asked = try AccountRequest(body: request.body)
            let signingRequest = try Self.signingRequest(of: asked)
            do {
                let known = try session.retryingWhileUnavailable {
                    try AccountRequests(session).add(
                        signingRequest, name: asked.name, contact: asked.contact, from: request.clientAddress,
                        limits: terms.limits)
                }
                guard known.name == asked.name else { return .ofAnotherName(known) }
                return try .state(of: known, terms)
            } catch let full as AccountRequests.Full {
                return .full(full)
            }
        }
    }

    /// - Parameter key: the SHA-256 of the public key.
    func accountRequest(of key: [UInt8], for request: Request) throws -> Response {
        try answerRequests(over: request) { terms in
            let known = try session.retryingWhileUnavailable { try AccountRequests(session).find(key: key) }
            guard let known else { return Response(.notFound, line: "no request for an account has this key") }
            return try .state(of: known, terms)
        }
    }

    private func answerRequests(over request: Request, _ answer: (AccountRequestTerms) throws -> Response) throws
        -> Response
    {
        guard let accountRequests else {
            return Response(.notFound, line: "this server takes no requests for accounts: ask its operator for one")
        }
        // Somebody on the way could put a key of his own in the place of this one.
        guard !request.certificateVerification.isEmpty else {
            throw Refusal.notAuthorized("requests for accounts are taken over HTTPS alone")
        }
        return try answer(accountRequests)
    }

    private static func signingRequest(of request: AccountRequest) throws(Refusal) -> CertificateRequest {
        guard let signingRequest = try? CertificateRequest(pem: Array(request.signingRequest.utf8)),
            let isCommon = try? signingRequest.publicKey().isCommonInTLS, isCommon
        else {
            throw .malformedRequest(
                """
                the request is not a certificate signing request (PKCS#10 in PEM), signed by its own key of RSA with 2048 to \
                8192 bits, P-256, P-384, P-521 or Ed25519
                """)
        }
        return signingRequest
    }
}

extension Response {
    fileprivate static func state(of request: KnownAccountRequest, _ terms: AccountRequestTerms) throws -> Response {
        switch request.state {
        case .waiting:
            return json(.accepted, .object(["state": JSON("waiting"), "number": .number("\(request.number)")]))
        case .refused(let reason): return Response(.forbidden, line: "the request was refused: \(reason)")
        case .approved(let certificate, let account):
            return json(
                .ok,
                GrantedAccount(
                    name: account, certificate: try certificate.pem(), downloadURL: terms.downloadURL,
                    uploadURL: terms.uploadURL
                ).json)
        }
    }

    private static func json(_ status: Status, _ json: JSON) -> Response {
        Response(
            status, headers: [("Content-Type", "application/json"), ("Cache-Control", "no-store")],
            body: .bytes(Array("\(json.dumped())\n".utf8)))
    }

    fileprivate static func ofAnotherName(_ known: KnownAccountRequest) -> Response {
        Response(.conflict, line: "this key was sent with a request for the name \(known.name): make another key")
    }

    fileprivate static func full(_ full: AccountRequests.Full) -> Response {
        switch full {
        case .list:
            Response(
                .serviceUnavailable,
                line: "too many requests for accounts wait for the operator, try again another day",
                headers: [("Retry-After", "86400")])
        case .address:
            Response(
                .tooManyRequests, line: "too many requests for accounts came from this address, try again tomorrow",
                headers: [("Retry-After", "86400")])
        }
    }
}
