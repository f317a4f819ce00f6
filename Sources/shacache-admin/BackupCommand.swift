import ArgumentParser
import Configuration
import Foundation
import ShaCache
import Storage
import System

struct BackupCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "backup", abstract: "Copy the cache to another place, and look at what is there.",
        discussion: """
            With a directory or --ssh alone it makes a backup. All of it goes by rsync, which is all that the other side \
            needs. "Backup" in operate.md explains it, and restore.md leads from a lost server to its first download.
            """,
        subcommands: [BackupCreate.self, BackupList.self, BackupVerify.self], defaultSubcommand: BackupCreate.self)
}

/// Where backups lie.
struct BackupPlaceOptions: ParsableArguments {
    @Argument(help: "Where the backups are.", completion: .directory) var directory: String?

    @Option(
        help: ArgumentHelp(
            """
            Where they are on another host; under the key of a user who may do nothing but this (rrsync), from that \
            program's directory on.
            """, valueName: "USER@HOST:/DIRECTORY"))
    var ssh: String?

    @Option(help: ArgumentHelp("What to call in place of ssh, with its options.", valueName: "command"))
    var sshCommand: String?

    @Option(
        help: ArgumentHelp(
            "How much is sent or fetched, in bytes a second, or as 500K or 1G (K, M, G, T: powers of 1024).",
            valueName: "rate"))
    var bandwidthLimit: Size?

    func validate() throws {
        guard (directory == nil) != (ssh == nil) else {
            throw ValidationError("name a directory, or a place on another host with --ssh")
        }
        guard sshCommand == nil || ssh != nil else { throw ValidationError("--ssh-command goes with --ssh") }
        guard bandwidthLimit.map({ $0 >= 1024 }) ?? true else {
            throw ValidationError("--bandwidth-limit takes 1K or more")
        }
    }

    func place() throws -> BackupPlace {
        if let ssh { return try BackupPlace(remote: ssh, limit: bandwidthLimit?.bytes, shell: sshCommand) }
        return try BackupPlace(directory: directory!, limit: bandwidthLimit?.bytes)
    }
}

struct BackupCreate: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "create", abstract: "Make a backup: this is what backup does by itself.",
        discussion: """
            Copies the database, the journal and all blobs, in this order, while nothing is deleted; uploads and \
            withdrawals go on. Blobs that were copied before are not copied again. Each is hashed on its way, and one \
            that isn't as it was stored is named, and left out. The configuration, certificates and keys are not in it, \
            unless --also names them.

            A backup that was stopped is not finished, and takes nothing from those before it; the next one goes on \
            with its blobs. The audit has each that was finished. To be run on the machine that has the store; \
            shacache-backup.timer does it every night.

            Exit codes: 0 done, 1 blobs are missing in it, or it stopped before its end (stderr says why), 64 wrong usage.
            """)
    @OptionGroup var options: AdminOptions
    @OptionGroup var target: BackupPlaceOptions
    @Option(help: "How many backups are kept, this one among them; without this, all.")
    var keep: Int?
    @Flag(help: "Remove the blobs that none of them names any more.") var prune = false
    @Option(
        help: ArgumentHelp(
            """
            A file or directory that is copied too, such as /etc/shacache, with the private keys in it; may be given \
            again.
            """, valueName: "path"))
    var also: [String] = []
    @Flag(help: "Wait for the end of a collection, or of another backup, that runs.") var wait = false
    @Option(help: "Whose backup it is; for people, when several servers share a database.")
    var host = ProcessInfo.processInfo.hostName

    func validate() throws {
        guard keep.map({ $0 > 0 }) ?? true else { throw ValidationError("--keep takes 1 or more") }
        guard also.allSatisfy({ $0.hasPrefix("/") }) else {
            throw ValidationError("--also takes whole paths, from / on")
        }
    }

    func run() throws {
        let configuration = try options.configuration()
        let session = Session(configuration.adminDatabase)
        let line = ProgressLine()
        defer { line.end() }
        var wanted = Backup.Options()
        (wanted.kept, wanted.prunes, wanted.others) = (keep, prune, also)
        let made = try configuration.withStore { store in
            if let directory = target.directory { try store.requireApart(directory) }
            let backup = Backup(
                of: store, session, as: configuration.ownerDatabase, to: try target.place(),
                report: { report($0, line) })
            try pauseDeletion(backup)
            return try backup.run(wanted, by: options.actor)
        }
        line.end()
        try TaskRuns(session).recordRun(of: .backup, on: host, findings: made.sums.absent)
        if options.json {
            try output(prettyJSON(made.sums.parts(made.name)))
        } else {
            options.report("\(made.name): \(made.sums.sentence)")
        }
        guard made.sums.absent == 0 else {
            let count = made.sums.absent
            options.report("\(count) blobs are not in the backup, since the store hasn't got them; all else is")
            options.report("hint: shacache-admin check names them, and says how they are mended")
            throw Self.lacksBlobs
        }
    }

    /// The backup is made: not a failure after which it should be made again.
    private static let lacksBlobs = ExitCode(3)

    private func pauseDeletion(_ backup: Backup) throws {
        guard try !backup.pauseDeletion() else { return }
        guard wait else {
            throw CommandError("a collection, or another backup, runs already\nhint: --wait waits for its end")
        }
        options.report("waits for the end of a collection, or of another backup")
        repeat { sleep(1) } while try !backup.pauseDeletion()
    }

    private func report(_ event: Backup.Event, _ line: ProgressLine) {
        switch event {
        case .progress(let sums): line.show { sums.sentence }
        case .absent(let digest, let reason):
            line.interrupt { options.report("missing: blob \(digest): \(reason)") }
        }
    }
}

extension BackupSums {
    /// For people.
    fileprivate var sentence: String {
        let pruned = removed == 0 ? "" : ", \(removed) removed that no backup names any more"
        return "\(copied) blobs (\(sizeText(bytes))) copied, \(present) there already, \(absent) missing\(pruned)"
    }

    /// For scripts.
    fileprivate func parts(_ name: String) -> Table {
        let counts = [
            ("copied", copied), ("bytes", bytes), ("present", present), ("missing", absent), ("removed", removed),
        ]
        return Table(
            columns: ["backup"] + counts.map(\.0), rows: [[.text(name)] + counts.map { .number("\($0.1)") }])
    }
}

struct BackupList: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List the backups of a place, the oldest first.",
        discussion: """
            One that isn't finished can't be restored; the next backup removes it. It asks no database, and takes no \
            --config: it runs on any host that gets at the place.
            """)
    @Flag(help: "Print JSON, for scripts.") var json = false
    @OptionGroup var target: BackupPlaceOptions

    func run() throws {
        let place = try target.place()
        let generations = try place.generations()
        if generations.isEmpty { say("\(place.name): has no backups") }
        let rows = try generations.map { generation -> [TableValue] in
            let manifest = generation.isFinished ? try place.manifest(of: generation) : nil
            return [
                .text(generation.name), .text(generation.isFinished ? "yes" : "no"), .text(manifest?.host ?? ""),
                .text(manifest?.version ?? ""), .number("\(manifest?.blobs ?? 0)"), .number("\(manifest?.bytes ?? 0)"),
                .number("\(manifest?.absent ?? 0)"),
            ]
        }
        let table = Table(columns: ["backup", "finished", "host", "version", "blobs", "bytes", "missing"], rows: rows)
        try output(json ? prettyJSON(table) : table.text())
    }
}

struct BackupVerify: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify", abstract: "Look whether the backups of a place are whole.",
        discussion: """
            Compares each backup's dump with its checksum, and looks for each blob that they name, by its size. --deep \
            also reads all blobs, past the page cache, and compares them with their names; it moves what is damaged to \
            the directory damaged, so that the next backup copies it again. It asks no database, takes no --config, and \
            can run on the host that has the backups. No backup may be made there meanwhile. A backup whose dump is \
            damaged stays so: "Backup" in operate.md has how it is removed.

            Exits with 1 when something is wrong.
            """)
    @OptionGroup var target: BackupPlaceOptions
    @Flag(help: "Read all blobs; of a directory on this host.") var deep = false

    func run() throws {
        if deep { yieldToOthers() }
        let sums = try BackupVerification(of: target.place()) { event in
            switch event {
            case .damaged(let what): say("damaged: \(what)")
            case .absent(let digest): say("missing: blob \(digest)")
            case .hasOtherBytes(let digest): say("damaged: blob \(digest): has other bytes than its name says")
            }
        }.run(isHashing: deep)
        let lost = "\(sums.lostBlobs) blobs are missing or damaged: the next backup copies those that the store has"
        guard sums.damagedGenerations == 0 else {
            if sums.lostBlobs > 0 { say(lost) }
            throw CommandError(
                """
                \(sums.damagedGenerations) of \(sums.generations) backups are damaged, and stay so
                hint: restore another one; "Backup" in operate.md has how one is removed
                """)
        }
        guard sums.lostBlobs == 0 else { throw CommandError(lost) }
        say("\(sums.generations) backups with \(sums.blobs) blobs are whole")
    }

}

/// Of commands that take no configuration.
private func say(_ line: String) {
    try? FileHandle.standardError.write(contentsOf: Data("\(line.shownFileName)\n".utf8))
}
