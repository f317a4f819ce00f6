import ArgumentParser
import Configuration
import Exchange
import Fetching
import Serving
import ShaCache
import Storage
import System
import TextTable

struct MirrorCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "mirror", abstract: "Fetch ahead what an upstream has.",
        discussion: """
            To be run on the host of a proximity cache: shacache-fetcher fetches, as it does for clients, so that what is \
            fetched is proven, belongs to no account, and comes once, whoever asks for it meanwhile.

              shacache-admin mirror far              all that far's feed has; then only what is new
              shacache-admin mirror far --keys keys.txt
              shacache-admin mirror status
            """,
        subcommands: [MirrorRun.self, MirrorStatus.self, MirrorForget.self], defaultSubcommand: MirrorRun.self)

    struct MirrorRun: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "run", abstract: "Fetch ahead; the word `run` may be left out.",
            discussion: """
                UPSTREAM is the name of an [[upstream]] of the configuration. Of a ShaCache server the feed is read, from where \
                the last run with the same --key-prefix and --since ended: also one that was killed. What upstream withdrew \
                disappears here. Other servers have no feed: --keys and --software-release name what is wanted of them.

                An item that fails is listed, kept on record, and tried again by each run; by one that follows, after a minute, \
                which doubles up to a day. `mirror status` lists what is on record. When the upstream, the fetcher or the \
                database is away for a minute, a run ends, and the next one goes on; one that follows waits.

                Exit codes: 0 all is here, but for what no upstream has, 1 something failed, or it stopped before the end \
                (stderr says what), 64 wrong usage.
                """)
        @OptionGroup var options: AdminOptions
        @Argument(help: "The name of an [[upstream]].") var upstream: String
        @Option(help: "Of the feed, only keys that begin so.") var keyPrefix: String?
        @Option(help: "Of the feed, only what was accepted or withdrawn since: 2026-11-22, or 2026-11-22T10:30:00Z.")
        var since: Timestamp?
        @Flag(help: "Go on for ever: what is new upstream is here within seconds.") var follow = false
        @Option(help: "Read no feed, but a file with a key on each line; - is standard input.", completion: .file())
        var keys: String?
        @Option(
            help: ArgumentHelp(
                "Read no feed: what is listed for a compiled software release, by the URL of its profile. Repeatable.",
                valueName: "url"))
        var softwareRelease: [String] = []
        @Option(name: [.customShort("j"), .long], help: "How many keys and blobs at once.") var jobs = 8

        private var hasKeys: Bool { keys != nil || !softwareRelease.isEmpty }

        func validate() throws {
            guard !hasKeys || (keyPrefix == nil && since == nil && !follow) else {
                throw ValidationError("--keys and --software-release go without --key-prefix, --since and --follow")
            }
            guard keyPrefix != "" else { throw ValidationError("--key-prefix takes a text") }
            guard (1...32).contains(jobs) else { throw ValidationError("--jobs takes 1 to 32") }
        }

        func run() throws {
            let configuration = try options.configuration()
            let line = ProgressLine()
            let systemd = SystemdNotifier()
            // Names and words of others can't steer the terminal.
            let say: @Sendable (String) -> Void = { text in line.interrupt { options.report(text.visible) } }
            let reporter = Mirror.Reporter(
                failed: { item, failure in say("\(failure.isAbsent ? "absent" : "failed"): \(item): \(failure.reason)")
                },
                note: say,
                progress: { time, sums in
                    // In each round of the thread that reads, also while the upstream is away.
                    if follow { systemd.tell(.ready, .alive) }
                    line.show { (time.map { "\(Timestamp($0)): " } ?? "") + sums.sentence }
                })
            let database = configuration.adminDatabase
            let mirror = Mirror(
                Mirror.Settings(
                    upstream: upstream, source: try source(configuration),
                    fetcher: FetchClient(socket: configuration.fetching.socket), threads: jobs,
                    session: { Session(database) }), reporter)
            defer { line.end() }
            do {
                let sums = try mirror.run()
                line.end()
                try show(sums, problem: nil)
                guard sums.failed == 0 else {
                    throw CommandError(
                        "\(sums.failed) failed: shacache-admin mirror status lists them; the next run tries again")
                }
            } catch let stopped as MirrorStopped {
                line.end()
                try show(stopped.sums, problem: "\(stopped.cause)")
                throw CommandError("stopped: \(stopped.cause)\nhint: run it again: it goes on where it was")
            }
        }

        private func source(_ configuration: Configuration) throws -> MirrorSource {
            let feed = try UpstreamFeed(of: upstream, configuration)
            guard hasKeys else {
                let selection = MirrorRecord.Selection(
                    upstream: upstream, keyPrefix: keyPrefix ?? "", since: since?.secondsSince1970)
                return .feed(feed, selection, isFollowing: follow)
            }
            return try .keys(inFile: keys, and: softwareRelease.map { try Key.softwareRelease(url: $0) })
        }

        private func show(_ sums: MirrorSums, problem: String?) throws {
            guard options.json else { return options.report("\(upstream): \(sums.sentence)") }
            try output(prettyJSON(MirrorSummary(sums, problem)))
        }
    }

    struct MirrorStatus: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "status", abstract: "Say how far mirrors have come, and what they could not get.")
        @OptionGroup var options: AdminOptions

        func run() throws {
            let record = try MirrorRecord(options.session())
            let (mirrors, items) = (try record.positions(), try record.items())
            guard !options.json else {
                return try output(
                    prettyJSON(["mirrors": mirrors.withoutCredentials, "items": items.withoutCredentials]))
            }
            try options.show(mirrors.withoutEmptyColumns())
            if items.rows.isEmpty { return options.report("nothing has failed, nor is absent") }
            try options.show(items)
        }
    }

    struct MirrorForget: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "forget", abstract: "Forget how far the mirrors of an upstream have come, and what failed.",
            discussion: """
                What was fetched stays. For an upstream that is not mirrored any more, so that nothing warns of it; a mirror of \
                it begins anew.
                """)
        @OptionGroup var options: AdminOptions
        @Argument(help: "The name of an upstream, also of one that is not configured any more.") var upstream: String

        func run() throws {
            try MirrorRecord(options.session()).forget(upstream, by: options.actor)
            options.report("forgot the mirrors of \(upstream)")
        }
    }
}

extension MirrorSums {
    /// For people.
    fileprivate var sentence: String {
        """
        \(keys) keys, \(blobs) blobs (\(sizeText(bytes))) fetched, \(present) here already, \(dropped) dropped, \
        \(absent) absent, \(failed) failed
        """
    }
}

/// For scripts.
private struct MirrorSummary: Encodable {
    let keys, blobs, bytes, present, dropped, absent, failed: Int
    let problem: String?

    init(_ sums: MirrorSums, _ problem: String?) {
        (keys, blobs, bytes, present) = (sums.keys, sums.blobs, sums.bytes, sums.present)
        (dropped, absent, failed) = (sums.dropped, sums.absent, sums.failed)
        self.problem = problem
    }
}
