import ArgumentParser
import CLinux
import Configuration
import FastCGI
import Foundation
import Logging
import Metrics
import OpenSSL
import Postgres
import Service
import Serving
import Storage
import System

@main
struct Shacached: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "shacached",
        abstract: "Answers nginx's FastCGI requests: one worker of a ShaCache server.",
        discussion: """
            It listens on two sockets that it is handed as systemd hands them, named `read` for lookups and `write` \
            for uploads (LISTEN_FDNAMES). Any number of workers may share them. SIGTERM and SIGINT let it \
            finish what it has begun and exit with 0. It logs to stderr, one JSON object a line.
            """,
        version: Configuration.version)

    @Option(help: "The configuration file; /usr/share/shacache/shacache.toml explains every option.")
    var config = "/etc/shacache/shacache.toml"

    @Flag(help: "Read the configuration file, say whether it is right, and exit.")
    var checkConfig = false

    static func main() { main(Array(processArguments.dropFirst())) }

    func run() throws {
        do {
            try Hash.Algorithm.requireSHA2()
            let configuration = try Configuration(file: config)
            if checkConfig {
                try Hash.Algorithm.sha1.require()
                try configuration.checkUpstreamFiles()
                let remark = try configuration.ca?.check()
                print("\(config): the configuration is right")
                if let remark { print(remark) }
            } else {
                try serve(configuration)
            }
        } catch {
            try? FileHandle.standardError.write(contentsOf: Data("\(error)".said(by: "shacached").utf8))
            throw ExitCode.failure
        }
    }

    private func serve(_ configuration: Configuration) throws {
        let process = ServerProcess("shacached", logLevel: configuration.log.level)
        let log = process.log
        keepFreedMemory()
        let sockets = Sockets.inherited()
        let (lookups, uploads) = (try sockets.named("read"), try sockets.named("write"))
        let store = try configuration.preparedStore()

        let threads = ThreadPool()
        let (recorder, directory) = process.recorder(
            in: configuration.metrics.directory, version: Configuration.version)
        let handler = RequestHandler(
            configuration: configuration, store: store, log: log, recorder: recorder, directory: directory)
        // Most downloads need no database: half of the threads stay with them when it hangs.
        let lookupThreads = configuration.worker.lookupThreads
        let bulkhead = DatabaseBulkhead(maximumWaiting: max(1, lookupThreads / 2))
        threads.start(lookupThreads, on: lookups) { handler.work(on: "lookups", bulkhead: bulkhead) }
        threads.start(configuration.worker.uploadThreads, on: uploads) { handler.work(on: "uploads") }
        do {
            try Hash.Algorithm.sha1.require()
        } catch {
            log.error(
                "signatures can't be checked, so entries with one can't be taken", metadata: ["cause": "\(error)"])
        }
        try process.serve(with: threads, every: Self.sweepInterval) {
            Self.sweep(store, log)
            Self.reconcile(BlobRepository(store, Session(configuration.workerDatabase)), log)
        }
    }

    /// Each upload takes buffers for its body anew: the allocator would ask the kernel for their pages, and give them
    /// back, every time (mallopt(3)).
    private func keepFreedMemory() {
        mallopt(m_mmap_threshold, 4 << 20)
        mallopt(m_trim_threshold, 8 << 20)
    }

    /// What is swept costs space only.
    private static let sweepInterval = Duration.seconds(3600)

    private static func reconcile(_ blobs: BlobRepository, _ log: Logger) {
        for outcome in blobs.reconcile() {
            switch outcome {
            case .hidden(let digest): log.warning("hidden again", metadata: ["sha512": "\(digest)"])
            case .restored(let digest): log.notice("put back", metadata: ["sha512": "\(digest)"])
            case .failed(let digest, let error):
                var metadata: Logger.Metadata = ["cause": "\(error)"]
                metadata["sha512"] = digest.map { "\($0)" }
                log.error("withdrawn blobs not looked at", metadata: metadata)
            }
        }
    }

    private static func sweep(_ store: LocalBlobs, _ log: Logger) {
        do {
            let removed = try store.sweep()
            if removed > 0 { log.notice("swept", metadata: ["leftovers": "\(removed)"]) }
        } catch {
            log.error("sweep failed", metadata: ["cause": "\(error)"])
        }
    }
}
