/// Why a request is turned down although nothing is broken on our side.
///
/// A new case doesn't compile until `terms` has all that is said of it.
public enum Refusal: Error, Equatable {
    case malformedRequest(String)
    case lengthRequired(String)
    case malformedKey(String)
    case malformedEntry(String)
    case incompleteBody(expected: Int, received: Int)
    case digestMismatch(expected: Digest, received: Digest)
    /// Known before the body comes: both are sizes, in bytes.
    case sizeMismatch(Digest, stored: Int, announced: Int)
    /// - Parameter limit: in bytes; the protocol's, which can't be raised.
    case entryTooLarge(limit: Int)
    /// - Parameter limit: in bytes; the operator's.
    case blobTooLarge(limit: Int)
    /// - Parameter limit: in lines.
    case listTooLong(limit: Int)
    /// No identity, or one that doesn't count: the text says which and why.
    case notAuthorized(String, mend: String? = nil)
    case unsigned
    case unknownSigner
    /// A URL in what would be public has a user or a password. The text says where.
    case credentials(String)
    case keyIsFull(String)
    /// A limit of the account's own. The text names it, its value, and what is used of it.
    case accountLimit(String)
    /// - Parameter reason: as given with the withdrawal.
    case withdrawn(_ what: String, reason: String)
    case revokedSigner
    case nothingToWithdraw(String)
}

extension Refusal {
    /// Stable names, to group by in reports, logs and metrics.
    public enum Name: String, CaseIterable, Sendable {
        case malformedRequest = "malformed request"
        case lengthRequired = "length required"
        case malformedKey = "malformed key"
        case malformedEntry = "malformed entry"
        case incompleteBody = "incomplete body"
        case digestMismatch = "digest mismatch"
        case tooLarge = "too large"
        case notAuthorized = "not authorized"
        case accountLimit = "account limit"
        case unsigned
        case unknownSigner = "unknown signer"
        case revokedSigner = "revoked signer"
        case credentials
        case keyIsFull = "key is full"
        case withdrawn
        case nothingToWithdraw = "nothing to withdraw"
    }

    /// All that is said of a refusal.
    public struct Terms: Sendable {
        public let name: Name
        public let status: Status
        /// What was wrong with what, on one line.
        public let message: String
        /// What a reader of a builder's log can do about it; nil where the message says so, or where the program that
        /// made the request is to be mended.
        public let mend: String?

        fileprivate init(_ name: Name, _ status: Status, _ message: String, mend: String?) {
            (self.name, self.status, self.message, self.mend) = (name, status, message, mend)
        }
    }

    public var terms: Terms {
        switch self {
        case .malformedRequest(let reason): Terms(.malformedRequest, .badRequest, reason, mend: nil)
        case .lengthRequired(let reason): Terms(.lengthRequired, .lengthRequired, reason, mend: nil)
        case .malformedKey(let reason): Terms(.malformedKey, .badRequest, reason, mend: nil)
        case .malformedEntry(let reason): Terms(.malformedEntry, .badRequest, reason, mend: nil)
        case .incompleteBody(let expected, let received):
            Terms(
                .incompleteBody, .badRequest, "the body ended after \(received) of \(expected) bytes",
                mend: "send it again")
        case .digestMismatch(let expected, let received):
            Terms(.digestMismatch, .badRequest, "the body's SHA-512 is \(received), not \(expected)", mend: nil)
        case .sizeMismatch(let digest, let stored, let announced):
            Terms(
                .digestMismatch, .badRequest,
                "the blob \(digest) has \(stored) bytes, and this body has \(announced)", mend: nil)
        case .entryTooLarge(let limit):
            Terms(
                .tooLarge, .contentTooLarge, "an entry may have at most \(limit) bytes",
                mend: "leave something out of its metadata")
        case .blobTooLarge(let limit):
            Terms(
                .tooLarge, .contentTooLarge, "a blob may have at most \(limit) bytes", mend: "ask the operator for more"
            )
        case .listTooLong(let limit):
            Terms(
                .tooLarge, .contentTooLarge,
                "a list may have at most \(limit) lines and \(ExistenceList.byteLimit) bytes",
                mend: "ask in several lists")
        case .notAuthorized(let reason, let mend): Terms(.notAuthorized, .forbidden, reason, mend: mend)
        case .unsigned:
            Terms(
                .unsigned, .forbidden, "this server takes signed entries only, and this one has no signature",
                mend: "set signature-private-key-file")
        case .unknownSigner:
            Terms(
                .unknownSigner, .forbidden,
                "this server takes entries of registered signers only, and none of them made this signature",
                mend: "ask the operator to add your signature certificate")
        case .credentials(let place):
            Terms(
                .credentials, .forbidden, "\(place) has a URL with a user or password, which would be public",
                mend: "leave out what stands before the @")
        case .keyIsFull(let reason):
            Terms(.keyIsFull, .forbidden, reason, mend: "ask the operator to withdraw old ones")
        case .accountLimit(let reason): Terms(.accountLimit, .forbidden, reason, mend: "ask the operator for more")
        case .withdrawn(let what, let reason):
            Terms(.withdrawn, .forbidden, "this \(what) was withdrawn: \(reason)", mend: nil)
        case .revokedSigner:
            Terms(
                .revokedSigner, .forbidden,
                "the key that signed this entry was revoked, because it was compromised",
                mend: "make a new one, by shacache generate-signature-key")
        case .nothingToWithdraw(let reason): Terms(.nothingToWithdraw, .notFound, reason, mend: nil)
        }
    }
}

extension Refusal: CustomStringConvertible {
    public var description: String { terms.message }
}

/// The statuses of HTTP with which a cache answers.
public enum Status: Int, CaseIterable, Sendable {
    case ok = 200
    case created = 201
    case accepted = 202
    case noContent = 204
    case notModified = 304
    case badRequest = 400
    case forbidden = 403
    case notFound = 404
    case methodNotAllowed = 405
    case conflict = 409
    case lengthRequired = 411
    case preconditionFailed = 412
    case contentTooLarge = 413
    case tooManyRequests = 429
    case internalServerError = 500
    case serviceUnavailable = 503
    case insufficientStorage = 507

    /// What follows the number in HTTP/1 (RFC 9110, 15).
    public var reasonPhrase: String {
        switch self {
        case .ok: "OK"
        case .created: "Created"
        case .accepted: "Accepted"
        case .noContent: "No Content"
        case .notModified: "Not Modified"
        case .badRequest: "Bad Request"
        case .forbidden: "Forbidden"
        case .notFound: "Not Found"
        case .methodNotAllowed: "Method Not Allowed"
        case .conflict: "Conflict"
        case .lengthRequired: "Length Required"
        case .preconditionFailed: "Precondition Failed"
        case .contentTooLarge: "Content Too Large"
        case .tooManyRequests: "Too Many Requests"
        case .internalServerError: "Internal Server Error"
        case .serviceUnavailable: "Service Unavailable"
        case .insufficientStorage: "Insufficient Storage"
        }
    }

    public var isError: Bool { rawValue >= 400 }
    public var isServerError: Bool { rawValue >= 500 }
}

/// Why something was withdrawn, in its actor's words. Clients get it, in a header too: so it is one line.
public struct Reason: Sendable {
    public let text: String

    /// In characters.
    public static let lengthLimit = 500

    /// - Returns: nil when it is empty, too long, or more than one line.
    public init?(_ text: String) {
        guard text.contains(where: { !$0.isWhitespace }), text.unicodeScalars.count <= Self.lengthLimit,
            !text.unicodeScalars.contains(where: { $0.properties.generalCategory == .control })
        else { return nil }
        self.text = text
    }
}
