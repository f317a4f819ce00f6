import ArgumentParser
import CLinux
import Configuration
import FastCGI
import Fetching
import Foundation
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

    /// The allocator would share out hundreds of threads to up to eight arenas for each processor. And the first long list
    /// that is freed would raise the size from which memory is mapped by itself: those after it would leave holes in the
    /// arenas (mallopt(3)).
    private func returnFreedMemory() {
        mallopt(m_arena_max, CInt(processorCount))
        mallopt(m_mmap_threshold, 256 << 10)
    }

    private func serve(_ configuration: Configuration) throws {
        returnFreedMemory()
        let process = ServerProcess("shacache-fetcher", logLevel: configuration.log.level)
        try configuration.checkUpstreamFiles()
        let listener = try Sockets.inherited().named("fetch")
        let store = try configuration.preparedStore()
        let clients = configuration.fetching.clients
        // Any worker of the host shows its figures.
        let (recorder, _) = process.recorder(in: configuration.metrics.directory, version: Configuration.version)
        let fetcher = try Fetcher(configuration, store: store, log: process.log, recorder: recorder)
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
        try process.serve(with: threads)
        fetcher.writeRecord()
    }
}
