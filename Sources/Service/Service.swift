import Postgres
import ShaCache
public import Storage

/// What HTTP means: it turns a request into a response, with the store and the catalog behind it.
///
/// It belongs to one thread, as its catalog does. Below it nothing knows a status code; above it nothing knows a rule.
public final class Service {
    let store: LocalBlobs
    let catalog: Catalog
    let blobs: BlobRepository
    let listing: Entries
    let rules: UploadRules
    let monitoring: Monitoring
    /// What the catalog had asked when that was last counted.
    var counted = Statistics()
    private let refusals: RefusalRateLimiter
    let lists: ListRateLimiter
    var remembered = Remembered()

    /// - Parameters:
    ///   - groups: of the process.
    ///   - refusals: how many refusals go on record.
    ///   - lists: how many names one address may ask for in lists.
    ///   - monitoring: where everything is counted.
    public init(
        store: LocalBlobs, catalog: Catalog, groups: Groups = Groups(), rules: UploadRules,
        refusals: RefusalRateLimiter, lists: ListRateLimiter = ListRateLimiter(), monitoring: Monitoring
    ) {
        self.store = store
        self.catalog = catalog
        blobs = BlobRepository(store, catalog.session, groups: groups.blobs)
        listing = Entries(catalog.session, groups: groups.entries)
        self.rules = rules
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

    /// A request that was answered, and what is left to do when the client has its answer.
    public struct Answer {
        public let requestID: String
        public fileprivate(set) var response: Response
        /// Of uploads.
        public let upload: UploadRecord?
        /// Of withdrawals.
        public let withdrawal: WithdrawalAttempt?
        /// Why it was not taken, in words and with a cause that only the log may know.
        public let failure: Failure?

        /// - Parameter result: what an operation gave, or why it gave nothing.
        fileprivate init(
            to request: Request, _ result: Result<Response, any Error>, upload: UploadRecord? = nil,
            withdrawal: WithdrawalAttempt? = nil
        ) {
            requestID = request.requestID
            (self.upload, self.withdrawal) = (upload, withdrawal)
            switch result {
            case .success(let response): (self.response, failure) = (response, nil)
            case .failure(let error):
                let failure = Failure(error)
                (response, self.failure) = (failure.response, failure)
                if upload != nil { response.say(failure.line) }
            }
        }
    }

    public func answer(_ request: Request) -> Answer {
        let route = Result { try request.route() }
        var answer = answer(request, for: route)
        // The deployed clients splice the body of a failed resume into the file that they are downloading.
        if !request.range.isEmpty, answer.upload == nil, answer.response.status.rawValue >= 300 {
            answer.response.body = .bytes([])
        }
        count(request, try? route.get(), answer)
        if request.purpose == .admission, answer.response.status.isError {
            answer.response = answer.response.verdict
        }
        return answer
    }

    /// Writes down an upload that was not taken. What was taken is on record already.
    ///
    /// - Returns: how many were left out since the last time.
    public func record(_ answer: Answer) throws -> Int {
        guard let upload = answer.upload, let failure = answer.failure else { return 0 }
        guard let leftOut = refusals.take(for: upload.isIdentified ? upload.account?.id : nil) else { return 0 }
        try Uploads(catalog.session).record(upload, failure: failure.recorded)
        return leftOut
    }

    private func answer(_ request: Request, for route: Result<Route?, any Error>) -> Answer {
        switch route {
        // An upload under a name that can't be read is on record, and a withdrawal in the log, like any that is refused.
        case .failure(let error):
            return Answer(
                to: request, .failure(error), upload: request.uploadRecord, withdrawal: request.withdrawalAttempt)
        case .success(nil): return Answer(to: request, .success(Response(.notFound, line: "nothing is here")))
        case .success(let route?):
            guard let operation = Method(rawValue: request.method).flatMap({ Operation($0, route) }) else {
                return Answer(to: request, .success(.methodNotAllowed(request.method, route)))
            }
            return perform(operation, for: request, on: route)
        }
    }

    private func perform(_ operation: Operation, for request: Request, on route: Route) -> Answer {
        switch operation {
        case .upload(let operation):
            var record = request.record(of: operation)
            let result = Result { try self.upload(request, operation, upload: &record) }
            return Answer(to: request, result, upload: record)
        case .withdraw(let operation):
            var attempt = WithdrawalAttempt(operation, clientAddress: request.clientAddress)
            let result = Result { try withdraw(request, operation, attempt: &attempt) }
            return Answer(to: request, result, withdrawal: attempt)
        case .downloadBlob(let digest): return Answer(to: request, Result { try blob(digest, for: request) })
        case .listEntries(let key): return Answer(to: request, Result { try entries(of: key) })
        case .findExisting(let prefix): return Answer(to: request, Result { try existing(request, prefix: prefix) })
        case .listMethods:
            return Answer(
                to: request, .success(Response(.noContent, headers: [("Allow", route.allowedMethods)])))
        case .checkLiveness: return Answer(to: request, .success(Response(.ok, line: "live")))
        case .checkReadiness(let uploads): return Answer(to: request, .success(readiness(for: uploads)))
        case .showMetrics: return Answer(to: request, Result { try metrics(for: request) })
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
    fileprivate func record(of operation: Operation.Upload) -> UploadRecord {
        switch operation {
        case .blob(let expected):
            var record = record(of: .blob)
            record.sha512 = expected
            return record
        case .entry(let key):
            var record = record(of: .entry)
            record.key = key
            return record
        }
    }

    /// By the method alone; nil when that uploads nothing.
    fileprivate var uploadRecord: UploadRecord? {
        switch Method(rawValue: method) {
        case .post: record(of: .blob)
        case .put: record(of: .entry)
        case .get, .head, .delete, .options, nil: nil
        }
    }

    /// By the method alone; nil when that withdraws nothing.
    fileprivate var withdrawalAttempt: WithdrawalAttempt? {
        method == Method.delete.rawValue ? WithdrawalAttempt(nil, clientAddress: clientAddress) : nil
    }

    private func record(of target: UploadRecord.Target) -> UploadRecord {
        UploadRecord(target: target, clientAddress: clientAddress, requestID: requestID, start: start)
    }
}
