import Postgres
import ShaCache
public import Storage
public import System

/// What HTTP means: it turns a request into a response, on the store and the database.
///
/// It belongs to one thread, as its session does. Below it nothing knows a status code; above it nothing knows a rule.
public final class Service {
    let store: LocalBlobs
    let session: Session
    let blobs: BlobRepository
    let listing: Entries
    let rules: UploadRules
    let feedReaders: FeedReaders
    /// nil: none are taken.
    let accountRequests: AccountRequestTerms?
    /// Whether what isn't here may be fetched.
    let hasUpstreams: Bool
    let keyAges: FetchedKeys.Limits
    let monitoring: Monitoring
    /// Of the session, as they were last counted.
    var counted = Statistics()
    private let refusals: RefusalRateLimiter
    let lists: ClientBuckets
    var identityCache = IdentityCache()
    /// Until when no use is recorded, since that has failed; nil: it has not.
    private var pauseOfUse: ContinuousClock.Instant?

    /// - Parameters:
    ///   - groups: of the process.
    ///   - refusals: how many refusals go on record.
    ///   - feedReaders: the clients that may read the feed.
    ///   - accountRequests: nil when none are taken.
    ///   - lists: how many names one address may ask for in lists.
    ///   - monitoring: where everything is counted.
    public init(
        store: LocalBlobs, session: Session, groups: Groups = Groups(), rules: UploadRules,
        hasUpstreams: Bool = false, keyAges: FetchedKeys.Limits = FetchedKeys.Limits(),
        feedReaders: FeedReaders = .operators, accountRequests: AccountRequestTerms? = nil,
        refusals: RefusalRateLimiter, lists: ClientBuckets = .forLists(),
        monitoring: Monitoring
    ) {
        self.store = store
        self.session = session
        blobs = BlobRepository(store, session, groups: groups.blobs)
        listing = Entries(session, in: store, groups: groups.entries)
        self.rules = rules
        self.feedReaders = feedReaders
        self.accountRequests = accountRequests
        self.hasUpstreams = hasUpstreams
        self.keyAges = keyAges
        self.refusals = refusals
        self.lists = lists
        self.monitoring = monitoring
    }

    /// What the threads of a process store together.
    public struct Groups: Sendable {
        let blobs = BlobGroups()
        let entries = EntryGroups()

        public init() {}
    }

    public func answer(_ request: Request) -> AnsweredRequest {
        let route = Result { try request.route() }
        var answer = answer(request, for: route)
        // The deployed clients splice the body of a failed resume into the file that they are downloading.
        if !request.range.isEmpty, answer.upload == nil, answer.response.status.rawValue >= 300 {
            answer.response.body = .bytes([])
        }
        countRequest(request, try? route.get(), answer)
        if request.purpose == .admission, answer.response.status.isError {
            answer.response = answer.response.verdict
        }
        return answer
    }

    /// Writes down an upload that was not taken. What was taken is on record already.
    ///
    /// - Returns: how many were left out since the last time.
    public func recordFailure(of answer: AnsweredRequest) throws -> Int {
        guard let upload = answer.upload, let failure = answer.failure else { return 0 }
        guard let leftOut = refusals.allow(for: upload.isIdentified ? upload.account?.id : nil) else { return 0 }
        try UploadRecords(session).recordFailure(of: upload, failure.recorded)
        return leftOut
    }

    /// Writes down what a list asked for and found: that it is used, no access log shows. Retention alone needs it, so that
    /// a database in trouble is left alone for a while.
    public func recordUse(by answer: AnsweredRequest) throws {
        guard !answer.found.isEmpty, pauseOfUse.map({ ContinuousClock.now >= $0 }) ?? true else { return }
        do {
            try UseRecord(session).note(answer.found)
        } catch {
            pauseOfUse = .now + Self.rest
            throw error
        }
    }

    private static let rest = Duration.seconds(60)

    private func answer(_ request: Request, for route: Result<Route?, any Error>) -> AnsweredRequest {
        switch route {
        // An upload under a name that can't be read is on record, and a withdrawal in the log, like any that is
        // refused.
        case .failure(let error):
            return AnsweredRequest(
                to: request, .failure(error), upload: request.presumedUpload, withdrawal: request.withdrawalAttempt)
        case .success(nil): return AnsweredRequest(to: request, .success(Response(.notFound, line: "nothing is here")))
        case .success(let route?):
            guard let operation = RequestMethod(rawValue: request.method).flatMap({ Operation($0, route) }) else {
                return AnsweredRequest(to: request, .success(.methodNotAllowed(request.method, route)))
            }
            return perform(operation, for: request, on: route)
        }
    }

    private func perform(_ operation: Operation, for request: Request, on route: Route) -> AnsweredRequest {
        switch operation {
        case .upload(let operation):
            var record = request.uploadRecord(of: operation)
            let result = Result { try self.upload(request, operation, upload: &record) }
            return AnsweredRequest(to: request, result, upload: record)
        case .withdraw(let operation):
            var attempt = WithdrawalAttempt(operation, clientAddress: request.clientAddress)
            let result = Result { try withdraw(request, operation, attempt: &attempt) }
            return AnsweredRequest(to: request, result, withdrawal: attempt)
        case .downloadBlob(let digest): return AnsweredRequest(to: request, Result { try blob(digest, for: request) })
        case .listEntries(let key): return AnsweredRequest(to: request, Result { try entries(of: key) })
        case .findExisting(let prefix):
            var found = FoundNames()
            let result = Result { try existing(request, prefix: prefix, found: &found) }
            return AnsweredRequest(to: request, result, found: found)
        case .listMethods:
            return AnsweredRequest(
                to: request, .success(Response(.noContent, headers: [("Allow", route.allowedMethods)])))
        case .checkLiveness: return AnsweredRequest(to: request, .success(Response(.ok, line: "live")))
        case .checkReadiness(let uploads): return AnsweredRequest(to: request, .success(readiness(for: uploads)))
        case .showMetrics: return AnsweredRequest(to: request, Result { try metrics(for: request) })
        case .readFeed: return AnsweredRequest(to: request, Result { try feed(for: request) })
        case .requestAccount: return AnsweredRequest(to: request, Result { try requestAccount(request) })
        case .checkAccountRequest(let key):
            return AnsweredRequest(to: request, Result { try accountRequest(of: key, for: request) })
        }
    }
}

/// A request that was answered, and what is left to do when the client has its answer.
public struct AnsweredRequest {
    public let requestID: String
    public fileprivate(set) var response: Response
    /// Of uploads.
    public let upload: UploadRecord?
    /// Of withdrawals.
    public let withdrawal: WithdrawalAttempt?
    /// Of lists.
    let found: FoundNames
    /// Why it was not taken, in words and with a cause that only the log may know.
    public let failure: RequestFailure?

    /// - Parameter result: what an operation gave, or why it gave nothing.
    fileprivate init(
        to request: Request, _ result: Result<Response, any Error>, upload: UploadRecord? = nil,
        withdrawal: WithdrawalAttempt? = nil, found: FoundNames = FoundNames()
    ) {
        requestID = request.requestID
        (self.upload, self.withdrawal, self.found) = (upload, withdrawal, found)
        switch result {
        case .success(let response): (self.response, failure) = (response, nil)
        case .failure(let error):
            let failure = RequestFailure(error)
            (response, self.failure) = (failure.response, failure)
            if upload != nil { response.say(failure.line) }
        }
    }
}

extension Response {
    fileprivate static func methodNotAllowed(_ method: String, _ route: Route) -> Response {
        Response(
            .methodNotAllowed, line: "\(method) is not possible here", headers: [("Allow", route.allowedMethods)])
    }
}

extension Request {
    /// Filled in as more becomes known.
    fileprivate func uploadRecord(of operation: Operation.Upload) -> UploadRecord {
        switch operation {
        case .blob(let expected):
            var record = uploadRecord(of: .blob)
            record.sha512 = expected
            return record
        case .entry(let key):
            var record = uploadRecord(of: .entry)
            record.key = key
            return record
        }
    }

    /// By the method alone; nil when that uploads nothing.
    fileprivate var presumedUpload: UploadRecord? {
        switch RequestMethod(rawValue: method) {
        case .post: uploadRecord(of: .blob)
        case .put: uploadRecord(of: .entry)
        case .get, .head, .delete, .options, nil: nil
        }
    }

    /// By the method alone; nil when that withdraws nothing.
    fileprivate var withdrawalAttempt: WithdrawalAttempt? {
        method == RequestMethod.delete.rawValue ? WithdrawalAttempt(nil, clientAddress: clientAddress) : nil
    }

    private func uploadRecord(of target: UploadTarget) -> UploadRecord {
        UploadRecord(target: target, clientAddress: clientAddress, requestID: requestID, start: start)
    }
}
