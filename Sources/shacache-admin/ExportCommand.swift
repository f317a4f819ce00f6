import ArgumentParser
import Configuration
import Exchange
import ShaCache
import Storage

struct ExportCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export", abstract: "Write all blobs and lists of keys into a directory, for another cache.",
        discussion: """
            DIR/shacache/SHA-512 is a blob, and DIR/shadir/KEY what a GET of the key answers, byte for byte; / and % in a \
            key are %2F and %25. `import exported` reads it, slapproxy serves it as it is, and so does any program that \
            can read files. Withdrawn blobs and entries stay out.

            Each blob is hashed on the way, and files appear whole or not at all. What is there already is left alone: an \
            export that was stopped is simply run again, and a later one adds what is new. Uploads may go on meanwhile. \
            To be run on the machine that has the store.

            Exit codes: 0 done, 1 a blob is damaged, or it stopped before the end (stderr says why), 64 wrong usage.
            """)
    @OptionGroup var options: AdminOptions
    @Argument(help: "It is made, unless it is there.", completion: .directory) var directory: String
    @Option(help: "Only keys that begin so, and the blobs that they name.")
    var keyPrefix: String?
    @Flag(
        help: """
            Where the directory is on the store's file system, make hard links in place of copies: nothing is read then, \
            and whoever writes into such a file damages the cache.
            """)
    var link = false

    func run() throws {
        let configuration = try options.configuration()
        let line = ProgressLine()
        let sums = try configuration.withStore { store in
            try store.requireApart(directory)
            let export = try Export(
                of: store, Session(configuration.adminDatabase), into: directory, links: link,
                damaged: { digest, reason in
                    line.interrupt { options.report("damaged: blob \(digest): its file \(reason)") }
                },
                progress: { sums in line.show { sums.sentence } })
            defer { line.end() }
            return try export.perform(keysBeginningWith: keyPrefix)
        }
        if options.json { try output(prettyJSON(sums.parts)) } else { options.report(sums.sentence) }
        guard sums.damaged == 0 else {
            throw CommandError("\(sums.damaged) blobs are damaged, and were left out; all else is in \(directory)")
        }
    }
}

extension ExportSums {
    /// For people.
    fileprivate var sentence: String {
        """
        \(blobs) blobs (\(sizeText(bytes))) and \(keys) keys written, \(present) there already, \(removed) removed that \
        are withdrawn, \(damaged) damaged
        """
    }

    /// For scripts.
    fileprivate var parts: [String: Int] {
        [
            "blobs": blobs, "bytes": bytes, "keys": keys, "present": present, "removed": removed, "damaged": damaged,
        ]
    }
}
