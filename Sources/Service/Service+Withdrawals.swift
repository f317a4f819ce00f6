public import ShaCache
public import Storage

/// A request to withdraw something, for the log, whatever its result.
public struct WithdrawalAttempt: Sendable {
    public let clientAddress: String
    public var account: Account?
    /// SHA-256 of the client certificate that was shown, also when it is unknown.
    public var certificate: [UInt8]?
    public var key: Key?
    public var sha512: Digest?
    public var reason: Reason?
    public var result: WithdrawalResult?

    /// - Parameter operation: nil when its path can't be read.
    init(_ operation: Operation.Withdrawn?, clientAddress: String) {
        self.clientAddress = clientAddress
        switch operation {
        case .blob(let digest): sha512 = digest
        case .entries(let key): self.key = key
        case nil: break
        }
    }
}

extension Service {
    func withdraw(
        _ request: Request, _ operation: Operation.Withdrawn, attempt: inout WithdrawalAttempt
    ) throws -> Response {
        identityCache.forget(identityCache.fingerprint(of: request.certificate))
        let account = try identify(request, certificate: &attempt.certificate, account: &attempt.account)
        if !account.roles.contains(.operator) { try account.checkRole(.withdraw, to: "withdraw") }
        // Asked only for certificates that are refused anyhow.
        guard request.purpose != .admission else { return Response(.noContent) }
        if let named = try request.query("sha512") { try attempt.narrow(to: try Digest(named: named)) }
        let pair = try request.query("entry").map { try attempt.chosen($0) }
        guard let reason = try request.query("reason").flatMap({ Reason($0) }) else {
            throw Refusal.malformedRequest(
                "say why: ?reason=, percent-encoded, one line of at most \(Reason.lengthLimit) characters")
        }
        attempt.reason = reason
        let (withdrawal, chosen) = (Withdrawal(by: account, reason: reason), attempt.sha512)
        attempt.result = try session.retryingWhileUnavailable {
            switch operation {
            case .blob(let digest): try blobs.withdraw(digest, withdrawal)
            case .entries(let key): try listing.withdraw(under: key, naming: chosen, pair: pair, withdrawal)
            }
        }
        return Response(.noContent)
    }
}

extension WithdrawalAttempt {
    /// - Parameter digest: of a key's entries, only those that name this blob.
    fileprivate mutating func narrow(to digest: Digest) throws(Refusal) {
        guard key != nil else { throw .malformedRequest("sha512 chooses among a key's entries, and this is a blob") }
        sha512 = digest
    }
}

extension WithdrawalAttempt {
    /// - Parameter text: of a key's entries, names one: the SHA-256 of its metadata, a zero byte, and its signature.
    fileprivate func chosen(_ text: String) throws(Refusal) -> String {
        guard key != nil else { throw .malformedRequest("entry chooses among a key's entries, and this is a blob") }
        guard text.utf8.count == 64, text.allSatisfy(\.isHexDigit) else {
            throw .malformedRequest("the entry is not 64 hexadecimal digits")
        }
        return text.lowercased()
    }
}

extension Digest {
    /// - Parameter text: from a request.
    fileprivate init(named text: String) throws(Refusal) {
        guard let digest = Digest(text) else { throw .malformedRequest("the sha512 is not 128 hexadecimal digits") }
        self = digest
    }
}
