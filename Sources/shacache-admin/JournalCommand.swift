import ArgumentParser
import Configuration
import Storage

struct JournalCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "journal",
        abstract: "Compress the store's journal, and write what it lacks.",
        discussion: """
            Workers write to the journal, in the store's directory journal, what only the database knows; rebuild makes \
            a lost database from it. This compresses the files that no process has open any more, and writes what the \
            database has and the journal lacks: what was stored before there was a journal, and what a killed worker had \
            committed and not yet written. It changes nothing else, and may run at any time, also twice at once.

            The timer of maintain runs it every day, with --days 2. Run it once without after an upgrade from a release \
            that had no journal. To be run on the machine that has the store.
            """)
    @OptionGroup var options: AdminOptions
    @Option(help: "Compare only what came since so many days. Without, the whole journal is read.")
    var days: Int?

    func validate() throws {
        guard days.map({ (1...36_500).contains($0) }) ?? true else { throw ValidationError("--days takes 1 or more") }
    }

    func run() throws {
        let configuration = try options.configuration()
        let (compressed, added) = try configuration.withStore { store in
            (
                try Journal(in: store).compressClosed(),
                try JournalUpkeep(of: store, Session(configuration.adminDatabase)).addLacking(days: days)
            )
        }
        guard !options.json else {
            return try output(prettyJSON(JournalSummary(compressedFiles: compressed, added: added)))
        }
        options.report("\(compressed) files compressed")
        options.report(
            """
            \(added.entries) entries, \(added.withdrawals) withdrawals, \(added.accounts) accounts and \
            \(added.signers) signers were lacking, and are written
            """)
    }
}

/// For scripts.
private struct JournalSummary: Encodable {
    let compressedFiles: Int
    let added: JournalUpkeep.Added

    private enum CodingKeys: String, CodingKey {
        case added
        case compressedFiles = "compressed_files"
    }
}

struct RebuildCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rebuild",
        abstract: "Make a lost database again from the store and its journal.",
        discussion: """
            For a database that is new, and that migrate has just made its schema in; any other is refused. Afterwards \
            every key and every blob is answered as before, in the same order; what was withdrawn is hidden. "The \
            database is lost" in operate.md has all steps.

            It can't know certificates, nor what accounts may do and how much, nor the record of uploads and downloads: \
            so all accounts come back disabled. It says what else was lost. All is done in one transaction, as the role \
            shacache_owner: one that was stopped is simply run again.

            To be run on the machine that has the store. A backup of the database, if there is one, is the better \
            beginning: it knows what this can't.
            """)
    @OptionGroup var options: AdminOptions

    func run() throws {
        let configuration = try options.configuration()
        let line = ProgressLine()
        let summary = try configuration.withStore { store in
            defer { line.end() }
            return try Rebuild(of: store, Session(configuration.ownerDatabase)) { name in
                line.show { "reading \(name)" }
            }.run(by: options.actor)
        }
        if options.json { try output(prettyJSON(summary)) }
        options.report("rebuilt: \(summary.sentence)")
        for remark in summary.remarks { options.report("warning: \(remark)") }
        for fact in RebuildSummary.unknown { options.report("note: \(fact)") }
    }
}
