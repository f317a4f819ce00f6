import Configuration
import FastCGI
import Foundation
import Logging
import Postgres
import Service
import Storage

/// The threads of a worker. Each owns its request, its service and its database session; they share the store.
struct Crew {
    private let configuration: Configuration
    private let store: BlobStore
    private let log: Logger
    private let shutdown = Shutdown()
    private let atWork = DispatchGroup()
    private let strangers = Allowance()

    init(configuration: Configuration, store: BlobStore, log: Logger) {
        self.configuration = configuration
        self.store = store
        self.log = log
    }

    /// - Parameter waiters: where not all threads may wait for a database that hangs.
    func start(_ count: Int, on listener: Listener, waiters: Waiters? = nil) {
        for _ in 0..<count {
            atWork.enter()
            Thread { [self] in
                work(on: listener, waiters)
                atWork.leave()
            }.start()
        }
    }

    /// Returns when every thread has answered what it had accepted.
    func finish() {
        shutdown.request()
        atWork.wait()
    }

    private func work(on listener: Listener, _ waiters: Waiters?) {
        let acceptor = Acceptor(listener: listener, shutdown: shutdown)
        let service = Service(
            store: store, catalog: Catalog(configuration.workerDatabase, waiters: waiters),
            rules: configuration.uploads.rules, strangers: strangers)
        while let answer = acceptor.next({ request in
            let answer = service.answer(Request(request))
            let response = answer.response
            request.send(
                status: "\(response.status) \(response.reason)", headers: response.headers, body: response.body)
            return answer
        }) {
            // The client has its answer; nobody waits for what follows.
            conclude(answer, service)
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
