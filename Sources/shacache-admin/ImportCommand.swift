import ArgumentParser
import Configuration
import Exchange
import Glibc
import OpenSSL
import ShaCache
import Storage
import System
import TextTable

struct ImportCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import", abstract: "Bring in what another cache holds.",
        discussion: """
            Each byte is hashed and each entry read and verified as when a client uploads it; what is refused is listed \
            with the reason, and the rest goes on. The entries of a key keep their order, behind those that it has here. \
            What is here already is left alone: an import that was stopped is simply run again, and goes on where it was. \
            Workers and other imports may run meanwhile. To be run on the machine that has the store.

            Everything is stored in the name of an account: its limits count, its roles and key prefixes don't. The \
            record of uploads has it with the request id import-N, and the report imports has each run.

            Exit codes: 0 all is here, 1 something was refused, or it stopped before the end (stderr says what), 64 wrong \
            usage.
            """,
        subcommands: [ImportSlapproxy.self, ImportHTTP.self, ImportTree.self, ImportExported.self])

    struct ImportSlapproxy: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "slapproxy", abstract: "Import the files of slapos.core's slapproxy.",
            discussion: """
                slapproxy keeps the last entry of a key only, so no more can be brought in. It may run meanwhile.
                """)
        @OptionGroup var options: AdminOptions
        @Argument(help: "Its shacache_content_directory: blobs, named by their SHA-512.", completion: .directory)
        var directory: String
        @Option(
            help: """
                Its shacache_metadata_directory: a list for each key. Otherwise `metadata` in the other directory.
                """, completion: .directory)
        var metadata: String?
        @OptionGroup var how: ImportOptions

        func run() throws {
            let metadata = metadata ?? "\(directory)/metadata"
            try how.perform(.slapproxy, from: directory, options) {
                try .slapproxy(content: directory, metadata: metadata)
            }
        }
    }

    struct ImportHTTP: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "http", abstract: "Import chosen keys, with their blobs, of another server of the protocol.",
            discussion: """
                No server lists its keys, so they are given. It begins with the first entry of each key, and gets the \
                blob that an entry names before the entry. A server in trouble is asked again as clients do; one that \
                can't be reached ends the import.

                  shacache-admin import http --account old --keys keys.txt http://cache.example.org
                  shacache-admin import http --account old --keys keys.txt http://proxy/shacache/cache http://proxy/shacache/dir
                """)
        @OptionGroup var options: AdminOptions
        @Argument(
            help: """
                Where nodes download: the URL to which /shacache and /shadir are added; or two, as in the client's \
                download-cache-url and download-dir-url.
                """)
        var url: [String]
        @Option(help: "A file with a key on each line; - is standard input.", completion: .file())
        var keys: String
        @Option(help: "How long to wait, in all tries together, for a server that is silent, in seconds.")
        var timeout = 60
        @OptionGroup var how: ImportOptions

        func validate() throws {
            guard (1...2).contains(url.count) else { throw ValidationError("give one URL, or those of blobs and keys") }
            for url in url where url.wholeMatch(of: /https?:\/\/[^\s\/]+.*/.ignoresCase()) == nil {
                throw ValidationError("\(withoutCredentials(url)): is no http or https URL")
            }
            guard (1...3600).contains(timeout) else { throw ValidationError("--timeout takes 1 to 3600 seconds") }
        }

        func run() throws {
            let base = url[0].hasSuffix("/") ? String(url[0].dropLast()) : url[0]
            let (cache, directory) = url.count == 2 ? (url[0], url[1]) : ("\(base)/shacache", "\(base)/shadir")
            try how.perform(.http, from: withoutCredentials(url.joined(separator: " ")), options) {
                try .http(keys: keys, cache: cache, directory: directory, timeout: timeout) { options.report($0) }
            }
        }
    }

    struct ImportTree: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "tree", abstract: "Import the files below a directory as blobs, whatever they are called.",
            discussion: """
                With --urls, files are also listed under the URLs that they came from, where deployed clients look for \
                downloads (file-urlmd5:...). Nodes trust signed entries only.
                """)
        @OptionGroup var options: AdminOptions
        @Argument(completion: .directory) var directory: String
        @Option(
            help: """
                A file with a line for each download: its URL and, behind a tab, the path of its file below the \
                directory; without that, the file is called as the URL ends.
                """, completion: .file())
        var urls: String?
        @Option(help: "A key in PEM, which signs these entries.", completion: .file())
        var signaturePrivateKeyFile: String?
        @OptionGroup var how: ImportOptions

        func validate() throws {
            guard signaturePrivateKeyFile == nil || urls != nil else {
                throw ValidationError("--signature-private-key-file goes with --urls")
            }
        }

        func run() throws {
            let key = try signaturePrivateKeyFile.map { try PrivateKey(pem: contents(of: $0)) }
            try how.perform(.tree, from: directory, options) {
                let source = try ImportSource.tree(directory, urls: urls, signedWith: key)
                if urls != nil, key == nil { options.report("warning: the entries are unsigned: no node trusts them") }
                return source
            }
        }
    }

    struct ImportExported: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "exported", abstract: "Import what shacache-admin export has written.")
        @OptionGroup var options: AdminOptions
        @Argument(completion: .directory) var directory: String
        @OptionGroup var how: ImportOptions

        func run() throws { try how.perform(.exported, from: directory, options) { try .exported(directory) } }
    }
}

/// What every import takes.
struct ImportOptions: ParsableArguments {
    @Option(help: "The account in whose name everything is stored; it must be there, and enabled.")
    var account: String
    @Option(name: [.customShort("j"), .long], help: "How many blobs or keys at once.")
    var jobs = 4

    func validate() throws {
        guard (1...16).contains(jobs) else { throw ValidationError("--jobs takes 1 to 16") }
    }

    /// - Parameters:
    ///   - name: of the source, for people.
    ///   - source: opens it, before anything is recorded.
    func perform(
        _ kind: Imports.Kind, from name: String, _ options: AdminOptions, _ source: () throws -> ImportSource
    ) throws {
        let configuration = try options.configuration()
        let source = try source()
        let line = ProgressLine()
        let refusals = RefusedItems()
        let reporter = ImportReporter(
            refused: { item, reason in
                refusals.add(item, reason)
                line.interrupt { options.report("refused: \(item): \(reason)".visible) }
            },
            // Names and words of others can't steer the terminal.
            absent: { item, reason in line.interrupt { options.report("absent: \(item): \(reason)".visible) } },
            progress: { sums in line.show { sums.sentence } })
        try configuration.withStore { store in
            // No worker may have opened it yet.
            try store.prepareForOwner()
            let database = configuration.adminDatabase
            let run = try ImportRun(
                kind, from: name, by: options.actor,
                ImportRun.Settings(
                    store: store, rules: configuration.uploads.rules, account: account, threads: jobs,
                    session: { Session(database) }),
                reporter: reporter)
            do {
                let sums = try run.perform(source)
                line.end()
                try report(sums, of: run, problem: nil, refusals, options)
                guard sums.refused == 0 else {
                    throw CommandError("\(sums.refused) were refused, for the reasons above; all else is here")
                }
            } catch let stopped as ImportStopped {
                line.end()
                try report(stopped.sums, of: run, problem: "\(stopped.cause)", refusals, options)
                throw CommandError(
                    "import-\(run.number) stopped: \(stopped.cause)\nhint: run it again: it goes on where it was")
            }
        }
    }

    private func report(
        _ sums: ImportSums, of run: ImportRun, problem: String?, _ refusals: RefusedItems, _ options: AdminOptions
    ) throws {
        guard options.json else { return options.report("import-\(run.number): \(sums.sentence)") }
        try output(
            prettyJSON(ImportSummary(number: run.number, sums: sums, problem: problem, refusals: refusals.first)))
    }
}

extension ImportSums {
    /// For people.
    fileprivate var sentence: String {
        """
        \(blobs) blobs (\(sizeText(bytes))) and \(entries) entries stored, \(duplicates) here already, \
        \(absent) absent, \(refused) refused
        """
    }
}

/// What was not taken: the first thousand, as many as memory is given.
private final class RefusedItems: Sendable {
    struct RefusedItem: Encodable {
        let item: String
        let reason: String
    }

    private let items = Monitor<[RefusedItem]>([])

    func add(_ item: String, _ reason: String) {
        items.change { items in
            if items.count < 1000 {
                items.append(
                    RefusedItem(
                        item: withoutCredentials(in: item).shownFileName,
                        reason: withoutCredentials(in: reason).shownFileName))
            }
        }
    }

    var first: [RefusedItem] { items.wait { $0 } }
}

/// For scripts.
private struct ImportSummary: Encodable {
    let requestID: String
    let blobs, bytes, entries, duplicates, absent, refused: Int
    let problem: String?
    /// The first thousand.
    let refusals: [RefusedItems.RefusedItem]

    private enum CodingKeys: String, CodingKey {
        case blobs, bytes, entries, duplicates, absent, refused, problem, refusals
        case requestID = "request_id"
    }

    init(number: Int, sums: ImportSums, problem: String?, refusals: [RefusedItems.RefusedItem]) {
        requestID = UploadRecord.requestID(ofImport: number)
        (blobs, bytes, entries) = (sums.blobs, sums.bytes, sums.entries)
        (duplicates, absent, refused) = (sums.duplicates, sums.absent, sums.refused)
        self.problem = problem
        self.refusals = refusals
    }
}
