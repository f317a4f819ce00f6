import Configuration
import FastCGI
import Logging
import Metrics
import Postgres
import Service
import Serving
import Storage

/// Answers the requests of a worker. Each of its threads has a service and a database session of its own; they share the
/// store, and what is counted.
struct RequestHandler: Sendable {
    let configuration: Configuration
    let store: LocalBlobs
    let log: Logger
    private let recorder: Recorder
    private let monitoring: Monitoring
    private let refusals = RefusalRateLimiter()
    private let lists = ListRateLimiter()
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
            certificates: configuration.metrics.certificates)
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
            rules: configuration.uploads.rules, refusals: refusals, lists: lists,
            monitoring: monitoring)
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
    }
}
