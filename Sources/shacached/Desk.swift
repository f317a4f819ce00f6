import Configuration
import FastCGI
import Logging
import Postgres
import Service
import Serving
import Storage

/// What the threads of a worker do. Each has a service and a database session of its own; they share the store.
struct Desk: Sendable {
    let configuration: Configuration
    let store: BlobStore
    let log: Logger
    private let strangers = Allowance()

    init(configuration: Configuration, store: BlobStore, log: Logger) {
        self.configuration = configuration
        self.store = store
        self.log = log
    }

    /// The work of one thread.
    ///
    /// - Parameter waiters: where not all threads may wait for a database that hangs.
    func work(waiters: Waiters? = nil) -> Crew.Work {
        let service = Service(
            store: store, catalog: Catalog(configuration.workerDatabase, waiters: waiters),
            rules: configuration.uploads.rules, strangers: strangers)
        return { request in
            let answer = service.answer(Request(request))
            let response = answer.response
            request.send(
                status: "\(response.status) \(response.reason)", headers: response.headers, body: response.body)
            return { conclude(answer, service) }
        }
    }

    private func conclude(_ answer: Service.Answer, _ service: Service) {
        if let event = answer.event { log.log(level: event.level, event.message, metadata: event.metadata) }
        do {
            let leftOut = try service.record(answer)
            if leftOut > 0 {
                log.notice("strangers' refusals not recorded", metadata: ["count": .stringConvertible(leftOut)])
            }
        } catch {
            log.error("upload not recorded", metadata: ["cause": "\(error)"])
        }
    }
}
