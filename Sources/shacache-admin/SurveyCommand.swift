import Archives
import ArgumentParser
import Foundation
import Glibc
import Storage
import System

struct SurveyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "survey",
        abstract: "Compare what lies in the store with the database, and write it down for reports.",
        discussion: """
            Counts files, bytes and what the disk gave for them, by kind: referenced (an entry names it), \
            unreferenced, withdrawn, exposed (withdrawn, and where readers look), damaged (of another size than was \
            stored), quarantined (found damaged by scrub), journal, arriving (without row for less than a day), orphan (for \
            longer), temporary, unknown, directory; and dangling: rows without a file. Nothing is changed. shacache-survey.timer runs it every day.

            Then it reads the blobs that entries of the binary cache promise to be archives, each once: the newest \
            first, and for no longer than --archive-seconds. The report unreadable-archives names those that nodes \
            can't unpack, and those that were not read yet.
            """)
    @OptionGroup var options: AdminOptions
    @Option(help: "Whose store it is; for people, when several servers share a database.")
    var host = ProcessInfo.processInfo.hostName

    @Option(help: "For so many seconds, archives are read that were not yet; 0: none.")
    var archiveSeconds = 600

    func validate() throws {
        guard archiveSeconds >= 0 else { throw ValidationError("--archive-seconds takes 0 or more") }
    }

    func run() throws {
        let configuration = try options.configuration()
        let session = Session(configuration.adminDatabase)
        let report = try configuration.withStore { try StoreAuditReports(session).audit($0, of: host) }
        try TaskRuns(session).recordRun(of: .survey, on: host)
        try options.show(report.table)
        let archives = ReleaseArchives(session)
        try configuration.withStore {
            try ArchiveReading(of: archives, in: $0, seconds: archiveSeconds).run()
        }
        try warn(archives.counts())
    }

    private func warn(_ archives: (unreadable: Int, unread: Int)) {
        if archives.unreadable > 0 {
            options.report(
                "warning: \(archives.unreadable) archives of compiled releases can't be read: shacache-admin report "
                    + "unreadable-archives names them")
        }
        if archives.unread > 0 { options.report("\(archives.unread) archives of compiled releases were not read yet") }
    }
}

/// Reads what the binary cache promises to be archives, each once, and no faster and no longer than it may.
struct ArchiveReading {
    let archives: ReleaseArchives
    let store: LocalBlobs
    let deadline: ContinuousClock.Instant

    init(of archives: ReleaseArchives, in store: LocalBlobs, seconds: Int) {
        self.archives = archives
        self.store = store
        deadline = .now + .seconds(seconds)
    }

    /// Bytes in a second, of what lies on the disk: others read there, too.
    private static let rate = 64 << 20

    /// Of a core, for one archive, in seconds: what takes more is made to take long. A slow disk, and the rate above,
    /// don't count.
    private static let workLimit = 1800

    /// Archives that are asked for at once, which takes the database as long however few they are: more than are read
    /// in the time that there is.
    private static let page = 1000

    /// One that was begun is read to its end. What has no file, or a damaged one that the next upload heals, is left
    /// for a survey that finds what was stored.
    func run() throws {
        var isGoingOn = true
        var missing = 0
        while isGoingOn, ContinuousClock.now < deadline {
            let unread = try archives.unread(limit: missing + Self.page).dropFirst(missing)
            isGoingOn = !unread.isEmpty
            for archive in unread where ContinuousClock.now < deadline {
                guard let problem = store.withFile(of: archive.digest, { problem(of: archive, $0) }),
                    problem == nil || store.isAsStored(archive.digest)
                else {
                    missing += 1
                    continue
                }
                try archives.recordCheck(of: archive, problem: problem)
            }
        }
    }

    private func problem(of archive: ReleaseArchive, _ descriptor: CInt) -> String? {
        var (pace, position) = (Pace(perSecond: Self.rate), 0)
        let workBefore = Self.work
        let problem = ArchiveInspection.problem(of: descriptor, top: archive.key) { bytes in
            pace.spend(bytes - position)
            position = bytes
            return Self.work - workBefore < Self.workLimit
        }
        // The memory is for what is downloaded.
        posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED)
        return problem
    }
    /// That this thread has done so far, in seconds of a core.
    private static var work: Int {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return time.tv_sec
    }
}
