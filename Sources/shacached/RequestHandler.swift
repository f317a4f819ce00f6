import Configuration
import FastCGI
import Logging
import Metrics
import Postgres
import Service
import ShaCache
import Storage
import System

/// Answers the requests of a worker. Each of its threads has a service and a database session of its own; they share
/// the store, and what is counted.
struct RequestHandler: Sendable {
    let configuration: Configuration
    let store: LocalBlobs
    let log: Logger
    private let recorder: Recorder
    private let monitoring: Monitoring
    private let refusals = RefusalRateLimiter()
    private let lists = ClientBuckets.forLists()
    private let groups = Service.Groups()

    /// - Parameter directory: where the recorder has its slot; nil when it has none.
    init(configuration: Configuration, store: LocalBlobs, log: Logger, recorder: Recorder, directory: MetricsDirectory?)
    {
        self.configuration = configuration
        self.store = store
        self.log = log
        self.recorder = recorder
        monitoring = Monitoring(
            recorder: recorder, directory: directory, session: Session(configuration.metricsDatabase),
            certificates: configuration.metrics.certificates, fetcherAnswers: Self.fetcherProbe(configuration))
    }

    private static func fetcherProbe(_ configuration: Configuration) -> (@Sendable () -> Bool)? {
        guard !configuration.upstreams.isEmpty else { return nil }
        let socket = configuration.fetching.socket
        return {
            do throws(SystemError) { try FastCGIClient.probe(socket, within: .seconds(1)) } catch { return false }
            return true
        }
    }

    /// The work of one thread.
    ///
    /// - Parameters:
    ///   - socket: that it serves, as the figures name it.
    ///   - bulkhead: where not all threads may wait for a database that hangs.
    func work(on socket: String, bulkhead: DatabaseBulkhead? = nil) -> ThreadPool.Responder {
        recorder.add(to: .threads, socket)
        let service = Service(
            store: store, session: Session(configuration.workerDatabase, bulkhead: bulkhead), groups: groups,
            rules: configuration.uploads.rules, hasUpstreams: !configuration.upstreams.isEmpty,
            keyAges: configuration.fetching.keyAges, feedReaders: configuration.feed.readers,
            accountRequests: configuration.accountRequestTerms, refusals: refusals, lists: lists, monitoring: monitoring
        )
        return { source in
            let request = Request(source)
            // Or each scrape would count itself.
            let isWork = request.purpose != .health
            if isWork { recorder.add(to: .inFlight, socket) }
            defer { if isWork { recorder.add(-1, to: .inFlight, socket) } }
            let answer = service.answer(request)
            let response = answer.response
            source.send(status: response.statusLine, headers: response.allHeaders, body: response.bytes)
            return { conclude(answer, service) }
        }
    }

    private func conclude(_ answer: AnsweredRequest, _ service: Service) {
        if let event = answer.event { log.log(level: event.level, event.message, metadata: event.metadata) }
        do {
            let leftOut = try service.recordFailure(of: answer)
            if leftOut > 0 {
                log.notice("refusals not recorded", metadata: ["count": .stringConvertible(leftOut)])
            }
        } catch {
            log.error("upload not recorded", metadata: ["cause": "\(error)"])
        }
        do {
            try service.recordUse(by: answer)
        } catch {
            log.notice("use not recorded", metadata: ["cause": "\(error)"])
        }
    }
}

extension Configuration {
    fileprivate var accountRequestTerms: AccountRequestTerms? {
        guard accountRequests.isEnabled else { return nil }
        return AccountRequestTerms(
            limits: accountRequests.limits, downloadURL: site.downloadURL, uploadURL: site.uploadURL)
    }
}

extension Request {
    /// Every parameter that nginx's snippets set (`fastcgi_param`), and no other: what a client sends reaches the
    /// worker under no name that they did not choose.
    init(_ source: borrowing FastCGIRequest) {
        self.init()
        method = source.text("REQUEST_METHOD")
        target = source.bytes("REQUEST_URI")
        mount = Mount(rawValue: source.text("MOUNT")) ?? .prefixes
        purpose = Purpose(rawValue: source.text("PURPOSE")) ?? .request
        contentLength = source.text("CONTENT_LENGTH")
        transferEncoding = source.text("TRANSFER_ENCODING")
        bodyFile = source.text("BODY_FILE")
        switch purpose {
        case .existence: body = source.body(upTo: ExistenceList.byteLimit + 1)
        case .accountRequest: body = source.body(upTo: AccountRequest.byteLimit + 1)
        case .request, .admission, .feed, .health: break
        }
        range = source.text("RANGE")
        ifMatch = source.text("IF_MATCH")
        ifNoneMatch = source.text("IF_NONE_MATCH")
        ifRange = source.text("IF_RANGE")
        certificateVerification = source.text("CERTIFICATE_VERIFICATION")
        certificate = source.bytes("CERTIFICATE")
        isLocalWriter = source.text("LOCAL_WRITER") == "1"
        isMonitor = source.text("MONITOR") == "1"
        clientAddress = source.text("REMOTE_ADDR")
        isLimited = !source.text("LIMITED").isEmpty
        requestID = source.text("REQUEST_ID")
        // nginx passes the request on when its body is complete, with the number of seconds that this took.
        start = .now - .seconds(Double(source.text("RECEIVE_SECONDS")) ?? 0)
    }
}

extension AnsweredRequest {
    struct LogEvent {
        let level: Logger.Level
        let message: Logger.Message
        let metadata: Logger.Metadata
    }

    /// Its line in the log: every upload, every withdrawal, and whatever has a cause that an operator should know.
    /// Other downloads are in nginx's log.
    var event: LogEvent? {
        if let failure, failure.status.isServerError {
            return LogEvent(level: .error, message: "failed", metadata: metadata)
        }
        if failure?.cause != nil { return LogEvent(level: .warning, message: "failed", metadata: metadata) }
        if let withdrawal {
            // Not of a method that isn't possible there, nor of a question before the request itself.
            guard failure != nil || withdrawal.result != nil else { return nil }
            return LogEvent(level: .info, message: failure == nil ? "withdrawn" : "refused", metadata: metadata)
        }
        guard upload != nil, failure != nil || response.status == .created else { return nil }
        return LogEvent(level: .info, message: failure == nil ? "stored" : "refused", metadata: metadata)
    }

    private var metadata: Logger.Metadata {
        var metadata: Logger.Metadata = [
            "request_id": "\(requestID)", "status": .stringConvertible((failure?.status ?? response.status).rawValue),
        ]
        if let failure {
            metadata["reason"] = "\(failure.name)"
            metadata["detail"] = "\(failure.message)"
            metadata["cause"] = failure.cause.map { "\($0)" }
        }
        if let withdrawal { metadata.merge(withdrawal.metadata) { $1 } }
        guard let upload else { return metadata }
        metadata["target"] = "\(upload.target)"
        metadata["client"] = "\(upload.clientAddress)"
        metadata["account"] = upload.account.map { "\($0.name)" }
        metadata["key"] = upload.key.map { "\($0.text)" }
        metadata["sha512"] = upload.sha512.map { "\($0)" }
        metadata["bytes"] = upload.bytes.map { .stringConvertible($0) }
        let stages = [("total", upload.start.duration(to: .now))] + upload.stages
        for (name, duration) in stages {
            metadata["\(name)_milliseconds"] = .stringConvertible(Int(duration / .milliseconds(1)))
        }
        return metadata
    }
}

extension WithdrawalAttempt {
    fileprivate var metadata: Logger.Metadata {
        var metadata: Logger.Metadata = ["target": "withdrawal", "client": "\(clientAddress)"]
        metadata["account"] = account.map { "\($0.name)" }
        metadata["key"] = key.map { "\($0.text)" }
        metadata["sha512"] = sha512.map { "\($0)" }
        metadata["because"] = reason.map { "\($0.text)" }
        metadata["withdrawal"] = result.map { .stringConvertible($0.number) }
        metadata["count"] = result.map { .stringConvertible($0.count) }
        return metadata
    }
}
