import Metrics
import Postgres
public import ShaCache
import Storage

/// Why a request was not answered as it asked, in HTTP's terms.
public struct RequestFailure {
    public let status: Status
    let origin: FailureOrigin
    /// For the client, and on record.
    public let message: String
    /// For the client: what to do about it.
    public let mend: String?
    /// For the operator, where the client must not know.
    public let cause: String?

    /// On whose side it is.
    enum FailureOrigin {
        case refused(Refusal.Name)
        /// To the client, an absent blob.
        case damagedBlob
        case failed(FailureName)
    }

    /// A stable name to group by.
    public var name: String {
        switch origin {
        case .refused(let name): name.rawValue
        case .damagedBlob: "damaged blob"
        case .failed(let name): name.rawValue
        }
    }

    init(_ error: any Error) {
        switch error {
        case let refusal as Refusal: self.init(refusal.terms)
        case let error as StoreError: self.init(error)
        case let error as NotJournaled: self.init(error)
        case let blob as DamagedBlob:
            self.init(
                .notFound, .damagedBlob, blob.digest.absence, cause: "the file of \(blob.digest) \(blob.damage)")
        case _ where error.isTransient:
            self.init(
                .serviceUnavailable, .failed(.databaseUnavailable), "the database is away, try again",
                cause: "\(error)")
        case let error as DatabaseError where error.kind == .unknownOutcome:
            self.init(
                .serviceUnavailable, .failed(.unknownOutcome),
                "the database went away while it stored this, send it again", cause: error.description)
        case let error as SchemaIsOlder:
            self.init(
                .serviceUnavailable, .failed(.schemaIsOlder), "the database waits for its migration, try again",
                cause: error.description)
        default:
            self.init(
                .internalServerError, .failed(.internalError), "something is broken on the server",
                mend: Self.tellOperator, cause: "\(error)")
        }
    }

    private init(_ terms: Refusal.Terms) {
        self.init(terms.status, .refused(terms.name), terms.message, mend: terms.mend)
    }

    private init(_ error: StoreError) {
        let (status, name): (Status, FailureName) =
            switch error.condition {
            case .noSpace: (.insufficientStorage, .noSpace)
            case .readOnly: (.serviceUnavailable, .storeReadOnly)
            case .broken: (.internalServerError, .storeBroken)
            }
        self.init(status, .failed(name), error.description, mend: Self.tellOperator)
    }

    /// It is stored or withdrawn, and isn't acknowledged: sent again, it is.
    private init(_ error: NotJournaled) {
        let status: Status =
            switch (error.cause as? StoreError)?.condition {
            case .noSpace: .insufficientStorage
            case .broken: .internalServerError
            case .readOnly, nil: .serviceUnavailable
            }
        self.init(
            status, .failed(.journalFailed), "what the store must remember of this could not be written",
            mend: Self.tellOperator, cause: error.description)
    }

    private static let tellOperator = "tell its operator, and send it again later"

    private init(
        _ status: Status, _ origin: FailureOrigin, _ message: String, mend: String? = nil, cause: String? = nil
    ) {
        self.status = status
        self.origin = origin
        self.message = message
        self.mend = mend
        self.cause = cause
    }

    /// What clients are told, cause and mend.
    var line: String { mend.map { "\(message): \($0)" } ?? message }

    var response: Response {
        // Seconds. A database restarts in less, and the builders' own pause after a failure is half an hour.
        Response(status, line: line, headers: status == .serviceUnavailable ? [("Retry-After", "10")] : [])
    }

    var recorded: UploadFailure {
        UploadFailure(status: status.rawValue, reason: name, detail: message)
    }
}
