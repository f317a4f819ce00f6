import ArgumentParser
import Configuration
import FastCGI
import Fetching
import Foundation
import Glibc
import Logging
import Metrics
import OpenSSL
import Serving
import Storage
import System

@main
struct ShacacheFetcher: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "shacache-fetcher",
        abstract: "Answers nginx's FastCGI requests for what a ShaCache server lacks and its upstreams may have.",
        discussion: """
            It listens on one socket that it is handed as systemd hands it, named `fetch` (LISTEN_FDNAMES), and fetches \
            from the tables [[upstream]] of the configuration. One process of it serves a host. SIGTERM and SIGINT let it \
            finish what it has begun and exit with 0. It logs to stderr, one JSON object a line.
            """,
        version: Configuration.version)

    @Option(help: "The configuration file; /usr/share/shacache/shacache.toml explains every option.")
    var config = "/etc/shacache/shacache.toml"

    static func main() { main(Array(processArguments.dropFirst())) }

    func run() throws {
        do {
            try Hash.Algorithm.requireSHA2()
            try serve(Configuration(file: config))
        } catch {
            try? FileHandle.standardError.write(contentsOf: Data("\(error)".said(by: "shacache-fetcher").utf8))
            throw ExitCode.failure
        }
    }

    private func serve(_ configuration: Configuration) throws {
        let log = Logger(label: "shacache-fetcher") { _ in JSONLogHandler(logLevel: configuration.log.level) }
        // Before any thread: signals are waited for, never handled in the middle of something.
        // libfcgi would accept nothing any more after a SIGUSR1, so that means the same.
        let signals = SignalSet(SIGTERM, SIGINT, SIGUSR1)
        signals.block()
        // The kernel sends it when a worker sweeps the spool.
        signal(SIGIO, SIG_IGN)
        let listener = try Sockets.inherited().named("fetch")
        let store = try configuration.withStore { store in
            try store.prepare()
            return store
        }
        let clients = configuration.fetching.clients
        let fetcher = Fetcher(configuration, store: store, log: log, recorder: recorder(configuration, log))
        let keys = KeyFetcher(fetcher, configuration)
        try keys.start()
        try fetcher.startRecord()
        let responder = FetchResponder(fetcher, keys, clients: clients)
        let threads = ThreadPool()
        threads.start(FetchResponder.threads(clients: clients), on: listener) {
            { request in
                responder.answer(request)
                return {}
            }
        }
        log.info("started")
        while !signals.arrive(withinSeconds: Int(Int32.max)) {}
        log.info("draining")
        threads.finish()
        fetcher.writeRecord()
        log.info("stopped")
    }

    /// Any worker of the host shows these figures. They must never keep it from its work.
    private func recorder(_ configuration: Configuration, _ log: Logger) -> Recorder {
        do {
            return try MetricsDirectory(directory: configuration.metrics.directory).takeSlot(
                version: Configuration.version)
        } catch {
            log.warning("metrics not shared", metadata: ["cause": "\(error)"])
            return Recorder.alone(version: Configuration.version)
        }
    }
}
