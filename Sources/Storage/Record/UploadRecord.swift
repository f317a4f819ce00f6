import Postgres
public import ShaCache

/// One upload's row in the record of uploads, apart from its outcome.
public struct UploadRecord: Sendable {
    public var target: UploadTarget
    public let clientAddress: String
    public let requestID: String
    /// When the first byte of the request came.
    public let start: ContinuousClock.Instant
    public var account: Account?
    /// Whether the account is enabled, and its certificate counts.
    public var isIdentified = false
    /// SHA-256 of the client certificate that was shown, also when it is unknown.
    public var certificate: [UInt8]?
    public var key: Key?
    public var sha512: Digest?
    /// Of the body.
    public var bytes: Int?
    public var signatureResult: SignatureResult?
    /// The version of the signers that the signature was checked against; nil when there was no signature.
    public var signersVersion: SignersVersion?
    /// Where the time went, for the log.
    public private(set) var stages: [(name: String, duration: Duration)] = []

    public init(target: UploadTarget, clientAddress: String, requestID: String, start: ContinuousClock.Instant) {
        self.target = target
        self.clientAddress = clientAddress
        self.requestID = requestID
        self.start = start
    }

    /// Notes that everything until now went into receiving the request.
    public mutating func noteReceived() { stages.append(("receive", start.duration(to: .now))) }

    /// Does one step of the upload, and notes how long it took.
    public mutating func timing<Result>(_ name: String, _ step: () throws -> Result) rethrows -> Result {
        let start = ContinuousClock.now
        defer { stages.append((name, start.duration(to: .now))) }
        return try step()
    }

}

extension SignatureResult {
    /// A stable name to group by.
    public var name: String {
        switch self {
        case .verified: "verified"
        case .unsigned: "unsigned"
        case .unknownSigner: "unknown signer"
        }
    }

    var signer: Signer.ID? {
        guard case .verified(let id) = self else { return nil }
        return id
    }
}

public enum UploadTarget: String, Sendable {
    case blob, entry
}

/// How an upload that was not taken ended.
public struct UploadFailure: Sendable {
    public let status: Int
    /// A stable name to group by.
    public let reason: String
    public let detail: String

    public init(status: Int, reason: String, detail: String) {
        self.status = status
        self.reason = reason
        self.detail = detail
    }
}

/// The record of uploads. What was stored is written there in the transaction that stores it.
public struct UploadRecords {
    let session: Session

    public init(_ session: Session) { self.session = session }

    /// Records an upload that was not taken. The row need not be durable: no client was promised it.
    public func recordFailure(of upload: UploadRecord, _ failure: UploadFailure) throws {
        let connection = session.connection
        try connection.transaction {
            try connection.run("SET LOCAL synchronous_commit = off")
            try connection.run(
                """
                INSERT INTO shacache.upload (
                    account_id, certificate, client_address, target, key, sha512, bytes,
                    signature_result, signer_id, outcome, status, reason, detail, duration, request_id)
                VALUES (
                    \(upload.account?.id), \(upload.certificate), \(upload.inetAddress), \(upload.target.rawValue),
                    \(upload.key?.text), \(upload.sha512?.bytes), \(upload.bytes),
                    \(upload.signatureResult?.name), \(upload.signatureResult?.signer),
                    \(failure.status < 500 ? "refused" : "failed"), \(failure.status), \(failure.reason), \(failure.detail),
                    \(upload.duration), \(upload.requestID))
                """)
        }
    }
}
