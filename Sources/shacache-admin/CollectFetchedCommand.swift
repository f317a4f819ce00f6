import ArgumentParser
import Configuration
import Foundation
import Glibc
import Storage

extension CollectCommand {
    struct CollectFetched: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "fetched", abstract: "Remove what was fetched from upstreams beyond [fetching] bytes.",
            discussion: """
                What was least recently used goes first, until the rest fits: by the downloads that ingest-log has counted, by \
                the day, and by when it was fetched. What an account has uploaded stays, and what an entry names that was put \
                here, what is pinned, what was withdrawn, what somebody reads at this moment, and what came in the last \
                minute. What goes lies in trash until the next run, which frees it. Without [fetching] bytes, nothing goes; \
                in any case /metrics then shows how much was fetched. The audit has none of it, the report collections a row \
                for each day.

                shacache-collect-fetched.timer runs it every minute, wherever shacache-fetcher runs. While a collection \
                runs, or a backup, it says so and does nothing: the next run does. Exits with 1 when it did not get to its \
                end, or could not do something of it. To be run on the machine that has the store.
                """)
        @OptionGroup var options: AdminOptions
        @Option(help: "Which of the servers that share the store this is.")
        var host = ProcessInfo.processInfo.hostName
        @Option(
            help: ArgumentHelp(
                """
                Run again and again, so long after the end of the last run, until this is ended: where there are no \
                timers. What goes wrong is said, and is no reason to end.
                """, valueName: "seconds"))
        var every: Int?

        func validate() throws {
            guard every.map({ $0 >= 0 }) ?? true else { throw ValidationError("--every takes 0 or more") }
        }

        func run() throws {
            // The kernel sends it when somebody opens a blob just when it is asked whether one is open.
            signal(SIGIO, SIG_IGN)
            try options.repeating(every: every, collect)
        }

        private func collect() throws {
            let configuration = try options.configuration()
            let session = Session(configuration.collectorDatabase)
            do {
                let done = try configuration.withStore { store in
                    let bound = try FetchedBound(
                        of: BlobRepository(store, session), limit: configuration.fetching.bytesLimit,
                        rate: configuration.collection.rate, on: host, by: options.actor)
                    return try bound.run(configuration.fetching.keyAges)
                }
                try TaskRuns(session).recordRun(of: .collectFetched, on: host)
                try options.show(done)
            } catch let error as CollectionError {
                guard case .isLocked = error else { throw error }
                options.report("\(error)")
            }
        }
    }
}
