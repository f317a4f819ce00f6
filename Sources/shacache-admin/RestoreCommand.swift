import ArgumentParser
import Configuration
import Foundation
import ShaCache
import Storage
import System

struct RestoreCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "restore",
        abstract: "Make a cache again from a backup: into an empty store and an empty database.",
        discussion: """
            First the blobs, each of which is hashed, then the database; then it brings the schema up to date, moves \
            what is withdrawn out of readers' sight, and compares and repairs as check --repair does. A store that has \
            blobs, and a database that has ShaCache's schema, are left alone. Workers, page and nginx are not to run \
            meanwhile. One that was stopped is run again, and fetches no blob twice. Of two at once, the second says so and \
            ends.

            restore.md has the steps before and after it. To be run on the machine that has the store, as root.

            Exit codes: 0 done, 1 blobs are missing, or it stopped before its end (stderr says why), 64 wrong usage.
            """)
    @OptionGroup var options: AdminOptions
    @OptionGroup var target: BackupPlaceOptions
    @Option(help: ArgumentHelp("Which backup, as backup list names it; the newest unless given.", valueName: "name"))
    var backup: String?
    @Flag(help: "Restore no blobs: the store is there.") var databaseOnly = false
    @Flag(help: "Restore no database: it is there, or is restored otherwise. The journal comes with the blobs.")
    var blobsOnly = false
    @Option(help: "The directory with the SQL files of migrate.")
    var sql = "/usr/share/shacache/sql"

    func validate() throws {
        guard !databaseOnly || !blobsOnly else {
            throw ValidationError("--database-only and --blobs-only exclude each other")
        }
    }

    func run() throws {
        let configuration = try options.configuration()
        let absent = try configuration.withStore { store in
            try Restore.alone(in: store) { try restore(to: store, configuration) }
        }
        options.report(blobsOnly ? Self.stepsBehindBlobs : Self.steps)
        guard absent == 0 else { throw CommandError("\(absent) blobs are missing: all else is restored") }
    }

    /// - Returns: how many blobs are missing.
    private func restore(to store: LocalBlobs, _ configuration: Configuration) throws -> Int {
        let owner = Session(configuration.ownerDatabase)
        let line = ProgressLine()
        defer { line.end() }
        // What would fail at the end of hours.
        if !blobsOnly {
            try Migrations.requireFiles(in: sql)
            try Restore.requireEmptyDatabase(owner)
        }
        let restore = try Restore(backup, from: target.place(), to: store) { report($0, line) }
        options.report("restores \(restore.generation.name), of \(restore.manifest.host)")
        if !blobsOnly { try restore.requireNoJournal() }
        var absent = 0
        if !databaseOnly {
            let sums = try restore.restoreStore(isWithJournal: blobsOnly)
            line.end()
            options.report(sums.sentence)
            absent = sums.absent
        }
        if !blobsOnly {
            try restore.restoreDatabase(owner, as: configuration.ownerDatabase)
            options.report("the database is restored")
            try bringUpToDate(owner)
            let session = Session(configuration.adminDatabase)
            try reconcile(store, session)
            restore.removeMark()
            try check(store, session)
            _ = try JournalUpkeep(of: store, session).addLacking()
        } else {
            restore.removeMark()
        }
        return absent
    }

    private func bringUpToDate(_ owner: Session) throws {
        let applied = try Migrations(owner).apply(from: sql)
        if !applied.isEmpty { options.report("applied \(applied.joined(separator: ", "))") }
    }

    /// Before anybody can see what is withdrawn.
    private func reconcile(_ store: LocalBlobs, _ session: Session) throws {
        for case .failed(let digest, let error) in BlobRepository(store, session).reconcile() {
            throw CommandError("\(digest.map { "blob \($0)" } ?? "what is withdrawn"): \(error)")
        }
    }

    private func check(_ store: LocalBlobs, _ session: Session) throws {
        let report = try StoreCheck(of: store, session, repairingAs: options.actor).run()
        for failure in report.failures { options.report("not compared: \(failure)") }
        try options.show(report.table)
    }

    private func report(_ event: Restore.Event, _ line: ProgressLine) {
        switch event {
        case .progress(let sums): line.show { sums.sentence }
        case .absent(let digest, let reason): line.interrupt { options.report("missing: blob \(digest): \(reason)") }
        }
    }

    private static let steps = """
        what remains: start the workers, nginx, the timers and the page, as restore.md has it; revoke and withdraw again \
        what was revoked and withdrawn after the backup
        """

    private static let stepsBehindBlobs = """
        what remains: start the workers before nginx, since they hide what is withdrawn; then shacache-admin check \
        --repair and, where the database was not lost, shacache-admin journal
        """
}

extension RestoreSums {
    /// For people.
    fileprivate var sentence: String {
        "\(fetched) blobs (\(sizeText(bytes))) fetched, \(present) there already, \(absent) missing"
    }
}
