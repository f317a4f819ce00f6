import ArgumentParser
import Configuration
import Fetching
import Foundation
import Glibc
import HTTP
import ShaCache
import Storage
import System

struct ScrubCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "scrub",
        abstract: "Read all blobs again, and take out of sight what isn't as it was stored.",
        discussion: """
            Reads the files from the disk itself, past the page cache where the file system can (O_DIRECT), and \
            compares each with its name, at idle priority: what wasn't read for longest first. A file with other bytes, \
            or one that can't be read, is moved to the store's directory quarantine, and downloads of it are 404 until \
            the right bytes are back: the configuration's upstreams are asked for them at once, in their \
            order; else the next upload of the same, or --from, brings them. The report damaged-blobs names them.

            shacache-scrub.timer runs it every day. One that was ended goes on where it was, within a few seconds' \
            work; several hosts that share a store share the work; of two on one host, the second ends at once. \
            Exits with 1 while there are damaged blobs that nothing has healed.
            """)
    @OptionGroup var options: AdminOptions
    @Option(help: "Which of the servers that share the store this is.")
    var host = ProcessInfo.processInfo.hostName

    @Option(
        help: ArgumentHelp(
            "Days within which all is to be read, by a run each day: reads what wasn't for a day less. 1: all of it.",
            valueName: "days"))
    var within = 7

    @Option(
        help: ArgumentHelp(
            """
            How fast files are read, in bytes a second, or as 500K or 1G (K, M, G, T: powers of 1024); by default twice what \
            it takes to keep to the time, and at least 32M.
            """, valueName: "rate"))
    var rate: Size?

    @Option(help: "Begin no other file after so many seconds; 0: only look which blobs are healed.")
    var seconds: Int?

    @Option(
        help: ArgumentHelp(
            """
            Read only what was written in the last so many seconds before the newest file: after an unclean shutdown, \
            before the workers are started.
            """, valueName: "seconds"))
    var young: Int?

    @Option(
        help: ArgumentHelp(
            """
            Then bring back what is damaged or lost: from the directory of another store, or one of files that are named \
            for their SHA-512; or from the SHACACHE URL of another cache, in place of the upstreams. It needs to be \
            trusted with nothing: only the right bytes are taken.
            """, valueName: "directory or URL"))
    var from: String?

    func validate() throws {
        guard within > 0 else { throw ValidationError("--within takes 1 or more") }
        guard rate.map({ $0 > 0 }) ?? true else { throw ValidationError("--rate takes 1 or more") }
        guard young.map({ $0 > 0 }) ?? true else { throw ValidationError("--young takes 1 or more") }
        guard young == nil || seconds == nil else { throw ValidationError("--young takes no --seconds") }
        guard seconds.map({ $0 >= 0 }) ?? true else { throw ValidationError("--seconds takes 0 or more") }
    }

    func run() throws {
        yieldToOthers()
        let configuration = try options.configuration()
        let source = try from.map { try HealingSource($0) }
        let session = Session(configuration.adminDatabase)
        let deadline = seconds.map { ContinuousClock.now + .seconds($0) }
        let scrub = try configuration.withStore { store in
            let scrub = try Scrub(
                of: BlobRepository(store, session), on: host, by: options.actor, rate: rate?.bytes, within: within,
                report: report)
            if let young {
                try scrub.readYoung(seconds: young)
            } else {
                try scrub.readDue(within: within, until: deadline)
            }
            if let source {
                try scrub.heal(from: source.name, includingLost: true, fetch: source.fetch)
            } else {
                for source in UpstreamSource.all(of: configuration.upstreams) {
                    try scrub.heal(from: source.name, includingLost: false, fetch: source.fetch)
                }
            }
            return scrub
        }
        if young == nil { try TaskRuns(session).recordRun(of: .scrub, on: host) }
        let open = try ScrubFindings(session).openCount()
        try options.show(scrub.sums.table(open: open))
        guard open == 0 else {
            throw CommandError("damaged blobs: \(open): shacache-admin report damaged-blobs names them")
        }
    }

    private func report(_ event: Scrub.Event) {
        switch event {
        case .damaged(let digest, let problem): options.report("damaged: \(digest): \(problem)")
        case .healed(let digest): options.report("healed: \(digest)")
        case .notHealed(let digest, let error): options.report("not healed: \(digest): \(error)")
        }
    }
}

extension Scrub.Sums {
    /// For people and scripts.
    fileprivate func table(open: Int) -> Table {
        let columns = ["shelves", "files", "bytes", "damaged", "healed", "open"]
        let values: [Int] = [shelves, files, bytes, damaged, healed, open]
        return Table(
            columns: columns + ["complete"],
            rows: [values.map { TableValue.number("\($0)") } + [.text(isComplete ? "yes" : "no")]])
    }
}

/// Where the right bytes of damaged blobs may be had.
private struct HealingSource {
    private enum Place {
        case directory(String)
        /// Without a slash at the end.
        case server(HTTPSession, String)
    }

    private let place: Place

    /// - Parameter text: a URL, or else a directory.
    init(_ text: String) throws {
        if text.prefixMatch(of: /https?:\/\//.ignoresCase()) != nil {
            let url = text.hasSuffix("/") ? String(text.dropLast()) : text
            place = .server(HTTPSession(agent: "shacache-admin"), url)
        } else {
            _ = try Descriptor(text, flags: O_DIRECTORY)
            place = .directory(text)
        }
    }

    /// For the record.
    var name: String {
        switch place {
        case .directory(let path): path
        case .server(_, let url): withoutCredentials(url)
        }
    }

    /// - Parameter write: takes the bytes, as they come.
    func fetch(_ digest: Digest, _ write: @escaping (UnsafeRawBufferPointer) throws -> Void) throws {
        switch place {
        case .directory(let path): try read(digest, below: path, write)
        case .server(let session, let url):
            var request = HTTPRequest(.get, "\(url)/\(digest)")
            request.redirectLimit = 10
            let response = try session.send(request) { _, bytes in try write(bytes) }
            guard response.status == 200 else { throw CommandError("\(name): answers \(response.status)") }
        }
    }

    private func read(
        _ digest: Digest, below directory: String, _ write: (UnsafeRawBufferPointer) throws -> Void
    ) throws {
        let place = LocalBlobs.place(of: digest)
        let paths = ["blobs/\(place)", place, "\(digest)"].map { "\(directory)/\($0)" }
        guard let path = paths.first(where: { FileManager.default.fileExists(atPath: $0) }) else {
            throw CommandError("\(directory): has no such file")
        }
        try Descriptor(path).forEachPiece(write)
    }
}
