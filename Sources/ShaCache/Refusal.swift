/// Why a request is turned down although nothing is broken on our side.
public enum Refusal: Error, Equatable, CustomStringConvertible {
    case malformedRequest(String)
    case lengthRequired(String)
    case malformedKey(String)
    case malformedEntry(String)
    case incompleteBody(expected: Int, received: Int)
    case digestMismatch(expected: Digest, received: Digest)
    /// Known before the body comes: both are sizes, in bytes.
    case sizeMismatch(Digest, stored: Int, announced: Int)
    /// - Parameter limit: in bytes; the protocol's, which nobody can raise.
    case entryTooLarge(limit: Int)
    /// - Parameter limit: in bytes; the operator's.
    case blobTooLarge(limit: Int)
    /// No identity, or one that doesn't count: the text says which and why.
    case notAuthorized(String, mend: String? = nil)
    case unsigned
    case unknownSigner
    /// A URL in what would be public has a user or a password. The text says where.
    case credentials(String)
    case keyIsFull(String)
    /// A limit of the account's own. The text names it, its value, and what is used of it.
    case accountLimit(String)
    /// - Parameter reason: as it was given by whoever withdrew it.
    case withdrawn(_ what: String, reason: String)
    case revokedSigner
    case nothingToWithdraw(String)
}

extension Refusal {
    /// A stable name to group by in reports.
    public var name: String {
        switch self {
        case .malformedRequest: "malformed request"
        case .lengthRequired: "length required"
        case .malformedKey: "malformed key"
        case .malformedEntry: "malformed entry"
        case .incompleteBody: "incomplete body"
        case .digestMismatch, .sizeMismatch: "digest mismatch"
        case .entryTooLarge, .blobTooLarge: "too large"
        case .notAuthorized: "not authorized"
        case .unsigned: "unsigned"
        case .unknownSigner: "unknown signer"
        case .credentials: "credentials"
        case .keyIsFull: "key is full"
        case .accountLimit: "account limit"
        case .withdrawn: "withdrawn"
        case .revokedSigner: "revoked signer"
        case .nothingToWithdraw: "nothing to withdraw"
        }
    }

    public var description: String { message }

    /// What was wrong with what, on one line.
    public var message: String {
        switch self {
        case .malformedRequest(let reason), .malformedKey(let reason), .malformedEntry(let reason),
            .notAuthorized(let reason, _), .keyIsFull(let reason), .accountLimit(let reason),
            .nothingToWithdraw(let reason), .lengthRequired(let reason):
            reason
        case .withdrawn(let what, let reason):
            "this \(what) was withdrawn: \(reason)"
        case .revokedSigner:
            "the key that signed this entry was revoked, because it was in other hands"
        case .incompleteBody(let expected, let received):
            "the body ended after \(received) of \(expected) bytes"
        case .digestMismatch(let expected, let received):
            "the body's SHA-512 is \(received), not \(expected)"
        case .sizeMismatch(let digest, let stored, let announced):
            "the blob \(digest) has \(stored) bytes, and this body has \(announced)"
        case .entryTooLarge(let limit):
            "an entry may have at most \(limit) bytes"
        case .blobTooLarge(let limit):
            "a blob may have at most \(limit) bytes"
        case .unsigned:
            "this server takes signed entries only, and this one has no signature"
        case .credentials(let place):
            "\(place) has a URL with a user or password, which would be public"
        case .unknownSigner:
            "this server takes entries of registered signers only, and none of them made this signature"
        }
    }
}
