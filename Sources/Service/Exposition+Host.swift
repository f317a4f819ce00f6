import Foundation
import Metrics
import OpenSSL
import Storage

extension Exposition {
    /// Room and spool of the store, without a label: it is one for all workers. A figure that can't be read is left
    /// out.
    mutating func addStore(_ store: LocalBlobs) {
        if let free = try? store.free() {
            addFamily(.storeSize, [Sample(Double(free.totalBytes))])
            addFamily(.storeFree, [Sample(Double(free.bytes))])
            addFamily(.storeReserved, [Sample(Double(free.reservedBytes))])
            addFamily(.storeInodes, [Sample(Double(free.totalInodes))])
            addFamily(.storeFreeInodes, [Sample(Double(free.inodes))])
        }
        if let spool = try? store.spooled() {
            addFamily(.temporaries, [Sample(Double(spool.files))])
            addFamily(.temporaryBytes, [Sample(Double(spool.bytes))])
            let age = spool.oldest.map { max(0, Date.now.timeIntervalSince1970 - Double($0)) }
            addFamily(.temporaryAge, [Sample((age ?? 0).rounded(.down))])
        }
    }

    mutating func addDatabase(_ database: DatabaseFigures) {
        addFamily(.databaseUp, [Sample(database.isUp ? 1 : 0)])
        addFamily(.neededSchema, [Sample(Double(Migrations.needed))])
        if let schema = database.schema { addFamily(.databaseSchema, [Sample(Double(schema))]) }
        if let entries = database.entriesOfFullestKey { addFamily(.fullestKey, [Sample(Double(entries))]) }
        addFamily(.firstExpiry, database.expiries.prefix(1).map { Sample(Double($0.at)) })
        let soon = Date.now.timeIntervalSince1970 + Self.horizon
        addFamily(
            .accountExpiry,
            database.expiries.filter { Double($0.at) < soon }.map { Sample(Double($0.at), ("account", $0.account)) })
    }

    /// - Parameter most: how many may wait; nil: none are taken.
    mutating func addAccountRequests(_ figures: AccountRequestFigures?, most: Int?) {
        addFamily(.accountRequestLimit, most.map { [Sample(Double($0))] } ?? [])
        guard let figures else { return }
        addFamily(.accountRequests, [Sample(Double(figures.waiting))])
        addFamily(.oldestAccountRequest, figures.oldest.map { [Sample(Double($0))] } ?? [])
    }

    /// What commands of `shacache-admin` have left in the database.
    mutating func addUpkeep(_ database: DatabaseFigures) {
        addFamily(.lastRun, database.runs.map { $0.sample($0.at) })
        addFamily(.lastFindings, database.runs.map { $0.sample($0.findings) })
        addFamily(.loggedBytes, database.loggedBytes.map { Sample(Double($0.bytes), ("kind", $0.kind)) })
        addScrub(database.scrub)
        addCollection(database.collection)
        addMirrors(database.mirrors)
        addFamily(
            .surveyedFiles, database.surveyed.map { Sample(Double($0.files), ("host", $0.host), ("kind", $0.kind)) })
        addFamily(
            .surveyedBytes, database.surveyed.map { Sample(Double($0.bytes), ("host", $0.host), ("kind", $0.kind)) })
    }

    private mutating func addScrub(_ figures: ScrubFigures?) {
        guard let figures else { return }
        addFamily(.scrubOldest, [Sample(Double(figures.oldest))])
        addFamily(.scrubbedBytes, [Sample(Double(figures.bytes))])
        addFamily(.scrubFindings, [Sample(Double(figures.found))])
        addFamily(.scrubOpenFindings, [Sample(Double(figures.open))])
    }

    private mutating func addCollection(_ figures: CollectionFigures?) {
        guard let figures else { return }
        addFamily(
            .collectedEntries,
            [
                Sample(Double(figures.hiddenEntries), ("step", "hidden")),
                Sample(Double(figures.removedEntries), ("step", "removed")),
            ])
        addFamily(
            .collectedBlobs,
            [
                Sample(Double(figures.removedBlobs), ("step", "removed")),
                Sample(Double(figures.freedBlobs), ("step", "freed")),
            ])
        addFamily(
            .collectedBytes,
            [
                Sample(Double(figures.removedBytes), ("step", "removed")),
                Sample(Double(figures.freedBytes), ("step", "freed")),
            ])
        guard let last = figures.last else { return }
        addFamily(.retainedEntries, [Sample(Double(last.hiddenEntries))])
        addFamily(.retainedBytes, [Sample(Double(last.hiddenBytes))])
        addFamily(.trashFiles, [Sample(Double(last.trashBlobs))])
        addFamily(.trashBytes, [Sample(Double(last.trashBytes))])
    }

    private mutating func addMirrors(_ mirrors: [MirrorFigures]) {
        addFamily(
            .mirroredUntil,
            mirrors.flatMap { mirror in
                [("follow", mirror.followedUntil), ("once", mirror.mirroredUntil)].compactMap { mode, time in
                    time.map { Sample(Double($0), ("upstream", mirror.upstream), ("mode", mode)) }
                }
            })
        addFamily(
            .mirrorItems,
            mirrors.flatMap { mirror in
                [("failed", mirror.failed), ("absent", mirror.absent)].map { state, count in
                    Sample(Double(count), ("upstream", mirror.upstream), ("state", state))
                }
            })
    }

    /// Seconds. Accounts may be many; those that can upload for longer than 60 days are left out.
    private static let horizon = 60 * 86_400.0

    /// - Parameter files: in PEM, each with one certificate or several.
    mutating func addCertificates(in files: [String]) {
        let found = files.map { (name: $0, certificates: Certificate.all(inFile: $0)) }
        addFamily(.certificateReadable, found.map { Sample($0.certificates.areReadable ? 1 : 0, ("file", $0.name)) })
        addFamily(
            .certificateExpiry, found.flatMap { Self.expiries(of: $0.certificates.compactMap(\.self), in: $0.name) })
    }

    /// An authority and its successor may have one name; numbers are each authority's own; and one certificate may
    /// occur twice.
    private static func expiries(of certificates: [Certificate], in file: String) -> [Sample] {
        let named = certificates.map { ([$0.subject, $0.serial], $0) }
        let each = Dictionary(named, uniquingKeysWith: { first, _ in first }).values
        return each.sorted { $0.notAfter < $1.notAfter }.map {
            Sample(Double($0.notAfter), ("file", file), ("subject", $0.subject), ("serial", $0.serial))
        }
    }
}

extension TaskRun {
    fileprivate func sample(_ value: Int) -> Exposition.Sample {
        guard let host else { return Exposition.Sample(Double(value), ("task", task)) }
        return Exposition.Sample(Double(value), ("task", task), ("host", host))
    }
}

extension [Certificate?] {
    fileprivate var areReadable: Bool { !isEmpty && allSatisfy { $0 != nil } }
}

extension Certificate {
    /// nil for one that can't be read. The text between them may be any bytes, as nginx allows.
    fileprivate static func all(inFile path: String) -> [Certificate?] {
        let text = String(decoding: FileManager.default.contents(atPath: path) ?? Data(), as: UTF8.self)
        let end = "-----END CERTIFICATE-----"
        return text.components(separatedBy: end).dropLast().map { try? Certificate(pem: Array(($0 + end).utf8)) }
    }
}

extension Family {
    fileprivate static let storeSize = Family("shacache_store_size_bytes", .gauge, "Size of the store's file system.")
    fileprivate static let storeFree = Family(
        "shacache_store_free_bytes", .gauge, "Free bytes on the store's file system, as far as workers may use them.")
    fileprivate static let storeReserved = Family(
        "shacache_store_reserved_bytes", .gauge, "Free bytes below which uploads get 507.")
    fileprivate static let storeInodes = Family(
        "shacache_store_inodes", .gauge, "Inodes of the store's file system; 0 where they are not counted.")
    fileprivate static let storeFreeInodes = Family(
        "shacache_store_free_inodes", .gauge, "Free inodes on the store's file system.")
    fileprivate static let temporaries = Family(
        "shacache_temporary_files", .gauge,
        "Request bodies in the spools of all hosts that share the store, and leftovers.")
    fileprivate static let temporaryBytes = Family("shacache_temporary_bytes", .gauge, "Bytes in the spools.")
    fileprivate static let temporaryAge = Family(
        "shacache_temporary_oldest_age_seconds", .gauge,
        "Time since the file in the spools that was left alone for longest was written to; 0 when there is none.")
    fileprivate static let databaseUp = Family(
        "shacache_database_up", .gauge, "1 when the database has answered for this scrape.")
    fileprivate static let databaseSchema = Family(
        "shacache_database_schema", .gauge, "Number of the newest migration that the database has.")
    fileprivate static let neededSchema = Family(
        "shacache_needed_schema", .gauge, "Number of the migration that this worker counts on.")
    fileprivate static let fullestKey = Family(
        "shacache_fullest_key_entries", .gauge, "Entries under the key that has most of them, withdrawn ones included.")
    fileprivate static let firstExpiry = Family(
        "shacache_accounts_first_expiry_timestamp_seconds", .gauge,
        "When the first account is without a valid certificate, in seconds since 1970.")
    fileprivate static let accountExpiry = Family(
        "shacache_account_expiry_timestamp_seconds", .gauge,
        "When an account's last certificate expires, of those that do within 60 days, in seconds since 1970.")
    fileprivate static let accountRequests = Family(
        "shacache_account_requests_waiting", .gauge, "Requests for accounts that wait for an operator.")
    fileprivate static let accountRequestLimit = Family(
        "shacache_account_requests_limit", .gauge, "How many may wait.")
    fileprivate static let oldestAccountRequest = Family(
        "shacache_account_request_oldest_timestamp_seconds", .gauge,
        "Since when the first of them waits, in seconds since 1970; not there when none does.")
    fileprivate static let lastRun = Family(
        "shacache_last_run_timestamp_seconds", .gauge,
        "When a command that timers run last succeeded, in seconds since 1970.")
    fileprivate static let lastFindings = Family(
        "shacache_last_run_findings", .gauge,
        """
        What it found then that somebody should look at: accounts with wrong sums (maintain), unreadable lines \
        (ingest-log), policies that hide entries and are not configured any more (collect).
        """
    )
    fileprivate static let loggedBytes = Family(
        "shacache_logged_sent_bytes_total", .counter,
        "Bytes of blobs and of keys' lists that nginx has sent, by its access logs, as far as ingest-log has read them."
    )
    fileprivate static let scrubOldest = Family(
        "shacache_scrub_oldest_timestamp_seconds", .gauge,
        "When the part of the store was read again that wasn't for longest, in seconds since 1970.")
    fileprivate static let scrubbedBytes = Family(
        "shacache_scrubbed_bytes_total", .counter, "Bytes of blobs that scrubs have read again.")
    fileprivate static let scrubFindings = Family(
        "shacache_scrub_findings_total", .counter, "Damaged files that scrubs have found.")
    fileprivate static let scrubOpenFindings = Family(
        "shacache_scrub_open_findings", .gauge, "Damaged blobs to which nothing has brought the right bytes yet.")
    fileprivate static let collectedEntries = Family(
        "shacache_collected_entries_total", .counter,
        "Entries that collections have hidden, and those that they have removed when the grace time was over.")
    fileprivate static let collectedBlobs = Family(
        "shacache_collected_blobs_total", .counter,
        "Blobs that collections have removed, into trash, and those whose bytes they have freed.")
    fileprivate static let collectedBytes = Family(
        "shacache_collected_bytes_total", .counter, "Bytes of these blobs.")
    fileprivate static let retainedEntries = Family(
        "shacache_retention_hidden_entries", .gauge,
        "Entries that retention hid and that can be restored, when the last collection ended.")
    fileprivate static let retainedBytes = Family(
        "shacache_retention_hidden_bytes", .gauge, "Bytes of the blobs that only these entries name.")
    fileprivate static let trashFiles = Family(
        "shacache_trash_files", .gauge, "Removed blobs whose bytes were still kept when the last collection ended.")
    fileprivate static let trashBytes = Family("shacache_trash_bytes", .gauge, "Their bytes.")
    fileprivate static let mirroredUntil = Family(
        "shacache_mirror_current_timestamp_seconds", .gauge,
        "When all that the feed of an upstream had was last mirrored, in seconds since 1970.")
    fileprivate static let mirrorItems = Family(
        "shacache_mirror_items", .gauge, "What a mirror could not fetch, or let go, and tries again.")
    fileprivate static let surveyedFiles = Family(
        "shacache_surveyed_files", .gauge, "What the last survey of a host found; dangling are rows without a file.")
    fileprivate static let surveyedBytes = Family(
        "shacache_surveyed_bytes", .gauge, "Bytes that the disk gave to what the last survey of a host found.")
    fileprivate static let certificateReadable = Family(
        "shacache_certificate_file_readable", .gauge, "1 when all certificates in a file can be read, and it has one.")
    fileprivate static let certificateExpiry = Family(
        "shacache_certificate_expiry_timestamp_seconds", .gauge,
        "When a certificate in a file on the server expires, in seconds since 1970.")
}
