import Configuration
import FastCGI
import Foundation
import Logging
import Service
import Storage

/// The threads of a worker. Each owns its request, its service and its database session; they share the store.
struct Crew {
    private let configuration: Configuration
    private let store: BlobStore
    private let log: Logger
    private let shutdown = Shutdown()
    private let atWork = DispatchGroup()

    init(configuration: Configuration, store: BlobStore, log: Logger) {
        self.configuration = configuration
        self.store = store
        self.log = log
    }

    func start(_ count: Int, on listener: Listener) {
        for _ in 0..<count {
            atWork.enter()
            Thread { [self] in
                work(on: listener)
                atWork.leave()
            }.start()
        }
    }

    /// Returns when every thread has answered what it had accepted.
    func finish() {
        shutdown.request()
        atWork.wait()
    }

    private func work(on listener: Listener) {
        let acceptor = Acceptor(listener: listener, shutdown: shutdown)
        let service = Service(
            store: store, catalog: Catalog(configuration.workerDatabase), rules: configuration.uploads.rules)
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
            try service.record(answer)
        } catch {
            log.error("upload not recorded", metadata: ["cause": "\(error)"])
        }
    }
}
