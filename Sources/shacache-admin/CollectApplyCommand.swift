import ArgumentParser
import Configuration
import Foundation
import Glibc
import ShaCache
import Storage
import System

extension AdminOptions {
    /// - Parameter pause: from the end of one run to the next, in seconds; nil: there is one run.
    func repeating(every pause: Int?, _ body: () throws -> Void) throws {
        guard let pause else { return try body() }
        while true {
            do { try body() } catch { report("\(error)") }
            sleep(UInt32(clamping: pause))
        }
    }
}

extension CollectCommand {
    struct CollectApply: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "apply", abstract: "Hide and remove what the policies let go.",
            discussion: """
                Works online, a page at a time, at a rate that leaves the disk to others. Entries that go are hidden, \
                and are removed when the grace time is over; until then each upload of the same, and `collect restore`, \
                shows them again. A blob that no entry names any more is marked; a later run removes it, into the \
                store's directory trash, unless it was uploaded or named meanwhile; and from there its bytes are freed \
                when they have lain there for long enough. "Removing what goes" in operate.md has the steps, and what \
                brings each thing back. Each entry and each blob has a row in the audit.

                A run that was killed is gone on with by the next one. Of two at once, the second ends at once, and \
                says which one runs. Without a policy nothing is hidden or removed; only what is in trash goes when its \
                time is over.

                Exits with 1 when it did not get to its end, or could not do something of it. To be run on the machine \
                that has the store; shacache-collect.timer runs it every day, once it is enabled.
                """)
        @OptionGroup var options: AdminOptions
        @Option(help: "Which of the servers that share the store this is.")
        var host = ProcessInfo.processInfo.hostName
        @Option(help: "Entries and blobs a second, in place of the configuration's.")
        var rate: Int?
        @Flag(help: "Free all that lies in trash, also what came there just now: for a disk that is full.")
        var emptyTrash = false
        @Option(
            help: ArgumentHelp(
                """
                Run again and again, so long after the end of the last run, until this is ended: where there are no \
                timers. What goes wrong is said, and is no reason to end.
                """, valueName: "seconds"))
        var every: Int?

        func validate() throws {
            guard rate.map({ $0 > 0 }) ?? true else { throw ValidationError("--rate takes 1 or more") }
            guard every.map({ $0 >= 0 }) ?? true else { throw ValidationError("--every takes 0 or more") }
        }

        func run() throws { try options.repeating(every: every, collect) }

        private func collect() throws {
            let configuration = try options.configuration()
            let policies = configuration.retention
            let names = policies.map(\.name)
            let session = Session(configuration.collectorDatabase)
            let done = try configuration.withStore { store in
                let collection = try Collection(
                    of: BlobRepository(store, session), configuration.collection.times,
                    rate: rate ?? configuration.collection.rate, on: host, by: options.actor)
                return try collection.run(policies: names, isEmptyingTrash: emptyTrash) { session in
                    let plan = CollectionPlan(session, policies, now: Int(Date.now.timeIntervalSince1970))
                    for remark in try options.namingFile({ try plan.prepare() }) { options.report(remark) }
                    try plan.index()
                }
            }
            let abandoned = try Collections(session).abandonedPolicies(besides: names)
            try TaskRuns(session).recordRun(of: .collect, on: host, findings: abandoned.count)
            try options.show(done)
            for policy in abandoned {
                options.report(
                    "the policy \(policy) is not configured any more: what it hid stays hidden, and is not removed; "
                        + "collect restore --policy \(policy) shows it")
            }
        }
    }

    struct CollectStatus: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "status", abstract: "List the last runs, what was hidden, and what lay in trash then.")
        @OptionGroup var options: AdminOptions
        @Option(help: "How many.") var last = 10

        func validate() throws {
            guard last > 0 else { throw ValidationError("--last takes 1 or more") }
        }

        func run() throws { try options.show(try Collections(options.session()).table(last: last)) }
    }

    struct CollectRestore: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "restore", abstract: "Bring back what a policy hid, or a blob from trash.",
            discussion: """
                One of --key, --entry, --policy and --blob. What comes back is as if it had been uploaded now: its \
                policy lets it go again when its time is over. A pin keeps it for good.
                """)
        @OptionGroup var options: AdminOptions
        @Option(help: "All entries that retention hides under this key, as it is, without percent escapes.")
        var key: String?
        @Option(help: "One entry, by its number, as `entry list` shows it.") var entry: Int?
        @Option(help: "All that a policy hides, also one that is not configured any more.") var policy: String?
        @Option(help: "A blob in trash, by its SHA-512: 128 hexadecimal digits.", transform: BlobCommand.digest)
        var blob: Digest?

        func validate() throws {
            guard [key != nil, entry != nil, policy != nil, blob != nil].count(where: { $0 }) == 1 else {
                throw ValidationError("name one of --key, --entry, --policy and --blob")
            }
        }

        func run() throws {
            let configuration = try options.configuration()
            if let blob {
                try configuration.withStore { store in
                    try BlobRepository(store, Session(configuration.collectorDatabase)).restoreRemoved(
                        blob, by: options.actor, because: "shacache-admin collect restore")
                }
                return options.report("restored the blob \(blob)")
            }
            let count = try configuration.withStore { store in
                let entries = Entries(Session(configuration.adminDatabase), in: store)
                if let key { return try entries.restoreRetained(under: Key(key), by: options.actor) }
                if let entry { return try entries.restoreRetained(entry, by: options.actor) }
                return try entries.restoreRetained(by: policy!, by: options.actor)
            }
            options.report("entries that are visible again: \(count)")
        }
    }
}
