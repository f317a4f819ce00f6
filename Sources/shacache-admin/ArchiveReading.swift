import Archives
import Glibc
import Storage

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
    private static let rate = 64.0 * 1024 * 1024

    /// Of a core, for one archive, in seconds: what takes more is made to take long. A slow disk, and the rate above, don't
    /// count.
    private static let workLimit = 1800

    /// Archives that are asked for at once, which takes the database as long however few they are: more than are read in the
    /// time that there is.
    private static let page = 1000

    /// One that was begun is read to its end. What has no file, or a damaged one that the next upload heals, is left for a
    /// survey that finds what was stored.
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
        let begin = ContinuousClock.now
        let workBefore = Self.work
        let problem = ArchiveInspection.problem(of: descriptor, top: archive.key) { bytes in
            let early = Duration.seconds(Double(bytes) / Self.rate) - begin.duration(to: .now)
            if early > .milliseconds(10) { usleep(UInt32(early / .microseconds(1))) }
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
