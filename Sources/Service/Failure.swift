import Postgres
import ShaCache
import Storage

/// Why a request was not answered as it asked, in HTTP's terms.
public struct Failure {
    public let status: Int
    /// A stable name to group by.
    public let name: String
    /// For the client, and on record.
    public let message: String
    /// For the client: what to do about it.
    public let mend: String?
    /// For the operator, where the client must not know.
    public let cause: String?

    init(_ error: any Error) {
        switch error {
        case let refusal as Refusal:
            self.init(status: refusal.status, name: refusal.name, message: refusal.message, mend: refusal.mend)
        case let error as StoreError:
            self.init(
                status: error.kind.status, name: error.kind.name, message: error.description, mend: Self.tellOperator)
        case let blob as DamagedBlob:
            self.init(
                status: 404, name: Self.damagedBlob, message: blob.digest.absence,
                cause: "the file of \(blob.digest) \(blob.damage)")
        case let error as DatabaseError where error.kind == .unavailable || error.kind == .lost:
            self.init(
                status: 503, name: "database unavailable", message: "the database is away, try again",
                cause: error.description)
        case let error as DatabaseError where error.kind == .unknownOutcome:
            self.init(
                status: 503, name: "unknown outcome",
                message: "the database went away while it stored this, send it again", cause: error.description)
        case let error as SchemaIsOlder:
            self.init(
                status: 503, name: "schema is older", message: "the database waits for its migration, try again",
                cause: error.description)
        default:
            self.init(
                status: 500, name: "internal error", message: "something is broken on the server",
                mend: Self.tellOperator, cause: "\(error)")
        }
    }

    static let damagedBlob = "damaged blob"
    private static let tellOperator = "tell its operator, and send it again later"

    private init(status: Int, name: String, message: String, mend: String? = nil, cause: String? = nil) {
        self.status = status
        self.name = name
        self.message = message
        self.mend = mend
        self.cause = cause
    }

    /// What clients are told, cause and mend.
    var line: String { mend.map { "\(message): \($0)" } ?? message }

    var response: Response {
        // Seconds. A database restarts in less, and the builders' own pause after a failure is half an hour.
        Response(status, line: line, headers: status == 503 ? [("Retry-After", "10")] : [])
    }

    var recorded: UploadRecord.Failure { UploadRecord.Failure(status: status, reason: name, detail: message) }
}

extension Refusal {
    fileprivate var status: Int {
        switch self {
        case .malformedRequest, .malformedKey, .malformedEntry, .incompleteBody, .digestMismatch, .sizeMismatch:
            400
        case .notAuthorized, .unsigned, .unknownSigner, .revokedSigner, .credentials, .keyIsFull, .accountLimit,
            .withdrawn:
            403
        case .nothingToWithdraw: 404
        case .lengthRequired: 411
        case .entryTooLarge, .blobTooLarge: 413
        }
    }
}

extension StoreError.Kind {
    fileprivate var status: Int {
        switch self {
        case .noSpace: 507
        case .readOnly: 503
        case .broken: 500
        }
    }

    fileprivate var name: String {
        switch self {
        case .noSpace: "no space"
        case .readOnly: "store read-only"
        case .broken: "store broken"
        }
    }
}
