import Postgres
public import ShaCache
public import Storage

/// What HTTP means: it turns a request into a response, with the store and the catalog behind it.
///
/// It belongs to one thread, as its catalog does. Below it nothing knows a status code; above it nothing knows a rule.
public final class Service {
    let store: BlobStore
    let catalog: Catalog
    let rules: Rules
    let monitoring: Monitoring
    /// What the catalog had asked when that was last counted.
    var counted = Statistics()
    private let allowance: Allowance

    /// - Parameters:
    ///   - allowance: how many refusals go on record.
    ///   - monitoring: where everything is counted.
    public init(
        store: BlobStore, catalog: Catalog, rules: Rules, allowance: Allowance, monitoring: Monitoring
    ) {
        self.store = store
        self.catalog = catalog
        self.rules = rules
        self.allowance = allowance
        self.monitoring = monitoring
    }

    /// What the operator decides.
    public struct Rules: Sendable {
        public let signatures: SignaturePolicy
        /// Whether entries with a user or a password in a URL are refused.
        public let refusesCredentials: Bool
        public let keys: KeyLimits
        /// In bytes; nil is unlimited.
        public let blobSize: Int?

        public init(
            signatures: SignaturePolicy, refusesCredentials: Bool = false, keys: KeyLimits, blobSize: Int?
        ) {
            self.signatures = signatures
            self.refusesCredentials = refusesCredentials
            self.keys = keys
            self.blobSize = blobSize
        }
    }

    /// A request that was answered, and what is left to do when the client has its answer.
    public struct Answer {
        public let requestID: String
        public let response: Response
        /// Of uploads.
        public let upload: UploadRecord?
        /// Of withdrawals.
        public let withdrawal: WithdrawalAttempt?
        /// Why it was not taken, in words and with a cause that only the log may know.
        public let failure: Failure?
    }

    public func answer(_ request: Request) -> Answer {
        var upload = request.uploadRecord
        var withdrawal = request.withdrawalAttempt
        var response: Response
        var failure: Failure?
        var route: Route?
        do {
            route = try Route.find(request)
            response = try respond(to: request, for: route, upload: &upload, withdrawal: &withdrawal)
        } catch {
            let cause = Failure(error)
            response = cause.response
            if request.isUpload { response.say(cause.line) }
            failure = cause
        }
        // The deployed clients splice the body of a failed resume into the file that they are downloading.
        if !request.range.isEmpty, !request.isUpload, response.status >= 300 { response.body = [] }
        count(request, route, response, upload, failure)
        if request.purpose == .admission, response.status >= 300 { response = response.verdict }
        response.declareLength()
        return Answer(
            requestID: request.requestID, response: response, upload: upload, withdrawal: withdrawal, failure: failure)
    }

    /// Writes down an upload that was not taken. What was taken is on record already.
    ///
    /// - Returns: how many were left out since the last time.
    public func record(_ answer: Answer) throws -> Int {
        guard let upload = answer.upload, let failure = answer.failure else { return 0 }
        guard let leftOut = allowance.take(for: upload.isIdentified ? upload.account?.id : nil) else { return 0 }
        try catalog.record(upload, failure: failure.recorded)
        return leftOut
    }

    private func respond(
        to request: Request, for route: Route?, upload: inout UploadRecord?, withdrawal: inout WithdrawalAttempt?
    ) throws -> Response {
        guard let route else { return Response(404, line: "nothing is here") }
        guard route.allowedMethods.contains(request.method) else {
            return Response(
                405, line: "\(request.method) is not possible here",
                headers: [("Allow", route.allowedMethods.joined(separator: ", "))])
        }
        if request.method == "OPTIONS" {
            return Response(204, headers: [("Allow", route.allowedMethods.joined(separator: ", "))])
        }
        guard !request.isUpload else { return try take(request, for: route, upload: &upload!) }
        guard !request.isWithdrawal else { return try withdraw(request, from: route, attempt: &withdrawal!) }
        switch route {
        case .blob(let digest): return try blob(digest, for: request)
        case .entries(let key): return try entries(of: key)
        case .live: return Response(200, line: "live")
        case .ready(let uploads): return readiness(for: uploads)
        case .metrics: return try metrics(for: request)
        case .blobs: preconditionFailure("only POST is allowed there")
        }
    }
}

extension Request {
    /// nil when it doesn't try to withdraw anything. Filled in as more becomes known.
    fileprivate var withdrawalAttempt: WithdrawalAttempt? {
        isWithdrawal ? WithdrawalAttempt(clientAddress: clientAddress) : nil
    }

    /// nil when it doesn't try to upload anything. Filled in as more becomes known.
    fileprivate var uploadRecord: UploadRecord? {
        guard isUpload else { return nil }
        return UploadRecord(
            target: method == "POST" ? .blob : .entry, clientAddress: clientAddress, requestID: requestID, start: start)
    }
}
