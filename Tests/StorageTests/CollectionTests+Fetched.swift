import Fixtures
import Foundation
import Postgres
import ShaCache
import Testing

@testable import Storage

/// What was fetched, and goes when it is too much.
extension CollectionTests {
    /// Stores the text as what came from an upstream.
    ///
    /// - Parameter days: so long ago.
    @discardableResult
    func fetch(_ text: String, days: Double = 1, in session: Session? = nil) throws -> Digest {
        let path = try store.files.spool(Array(text.utf8), in: store.directory)
        defer { unlink(path) }
        let digest = digest(text)
        nonisolated(unsafe) let session = session ?? worker
        _ = try FetchedBlobs(in: store.files) { try $0(session) }.store(
            SpooledBody(named: path, in: store.files), as: digest, size: text.utf8.count, from: "far")
        try run(
            """
            UPDATE shacache.blob SET created_at = now() - make_interval(secs => \(Int(days * 86_400))),
                last_referenced_at = now() - make_interval(secs => \(Int(days * 86_400))) WHERE sha512 = \(digest.bytes)
            """)
        return digest
    }

    /// - Parameter days: so many whole days of UTC ago.
    func download(_ digest: Digest, days: Int) throws {
        try run(
            """
            INSERT INTO shacache.blob_download (day, sha512, whole, partial, probes, bytes)
            VALUES ((now() AT TIME ZONE 'UTC')::date - \(days)::integer, \(digest.bytes), 0, 0, 1, 0)
            """)
    }

    @discardableResult
    func bound(_ limit: Int?, in blobs: BlobRepository? = nil) throws -> [String: Int] {
        let bound = try FetchedBound(
            of: blobs ?? collector(), limit: limit, rate: 1_000_000, on: "a", by: "tester")
        let table = try bound.run(FetchedKeys.Limits())
        return Dictionary(uniqueKeysWithValues: zip(table.columns, table.rows[0].map { Int($0.text) ?? -1 }))
    }

    private static let anyEntry = UploadRules(
        signatures: .record, keys: KeyLimits(entries: 10, bytes: 1 << 20, entriesPerAccount: 10), blobSize: nil)

    private func left() throws -> Set<String> {
        let rows = try database.connection().run(
            "SELECT encode(sha512, 'hex') FROM shacache.blob WHERE account_id IS NULL")
        return Set(rows.map { $0.text(0)! })
    }

    private func trashCount() throws -> Int { try count("SELECT count(*) FROM shacache.trash") }

    @Test func `without a bound nothing goes, and what is there is known`() throws {
        try fetch("12345")
        try upload("uploaded")
        let done = try bound(nil)
        #expect(done["fetched_blobs"] == 1 && done["fetched_bytes"] == 5 && done["removed_blobs"] == 0)
        #expect(try count("SELECT count(*) FROM shacache.fetched_total WHERE bytes = 5 AND bytes_limit IS NULL") == 1)
        #expect(try count("SELECT count(*) FROM shacache.collection") == 0)
    }

    /// The next run frees the bytes; nothing waits for an operator's.
    @Test func `what is too much is out of sight at once, and off the disk with the next run`() throws {
        let (old, new) = (try fetch("12345", days: 9), try fetch("abcde", days: 8))
        let done = try bound(5)
        #expect(done["removed_blobs"] == 1 && done["removed_bytes"] == 5 && done["fetched_bytes"] == 5)
        #expect(!store.files.exists(old) && isInTrash(old) && store.files.isAsStored(new))
        #expect(try bound(5)["freed_bytes"] == 5)
        #expect(try trashCount() == 0 && !isInTrash(old))
        // One row for a day, and the audit has nothing of it.
        #expect(
            try count("SELECT count(*) FROM shacache.collection WHERE is_of_fetched AND finished_at IS NOT NULL") == 1)
        #expect(
            try count(
                """
                SELECT count(*) FROM shacache.collection_sum
                WHERE policy = '[fetching] bytes' AND removed_bytes = 5 AND freed_bytes = 5
                """) == 1)
        #expect(try audit("blob remove").isEmpty)
        try expectRight()
    }

    /// Plain loops over the same. Fails without the second look at what was used since (FetchedQueue.page).
    @Test(arguments: 1...6) func `the least recently used goes first, as plain loops have it`(_ seed: Int) throws {
        var chance = Chance(UInt64(seed))
        let today = Date.now.timeIntervalSince1970.truncatingRemainder(dividingBy: 86_400) / 86_400
        // How many days of UTC ago a point in time was, and how many days ago such a day has ended.
        let day = { (days: Double) in Int((days - today).rounded(.up)) }
        let end = { (days: Int) in Double(days - 1) + today }
        var places: [(digest: Digest, size: Int, usedAt: Double, isHeld: Bool)] = []
        for number in 1...60 {
            let size = 1 + chance.below(40)
            let text = "\(number) ".padding(toLength: size + 3, withPad: "x", startingAt: 0)
            // In days before now.
            let came = Double(2 + chance.below(20)) + Double(number) / 10_000
            let digest = try fetch(text, days: came)
            var used = came
            if chance.below(2) == 0 {
                let days = 1 + chance.below(20)
                try download(digest, days: days)
                // Unless it came on that day, or behind it.
                if days < day(came) { used = min(used, end(days)) }
            }
            if chance.below(6) == 0 {
                try run(
                    "INSERT INTO shacache.blob_question VALUES (\(digest.bytes), (now() AT TIME ZONE 'UTC')::date - 1)")
                if 1 < day(came) { used = min(used, end(1)) }
            }
            var isHeld = false
            switch chance.below(8) {
            case 0:
                try entry("\(number)", under: "k", naming: digest)
                isHeld = true
            case 1:
                try run("INSERT INTO shacache.pin (actor, reason, sha512) VALUES ('t', 'why', \(digest.bytes))")
                isHeld = true
            case 2:
                try upload(text)
                isHeld = true
            default: break
            }
            places.append((digest, size + 3, used, isHeld))
        }
        let fetched = try places.filter { try !isUploaded($0.digest) }
        var total = fetched.map(\.size).reduce(0, +)
        for limit in [total * 3 / 4, total / 2, total / 4, 0] {
            var going = fetched.filter { !$0.isHeld }.sorted {
                ($1.usedAt, $0.digest.description) < ($0.usedAt, $1.digest.description)
            }
            total = fetched.map(\.size).reduce(0, +)
            while total > limit, let next = going.first {
                going.removeFirst()
                total -= next.size
            }
            let expected = Set(going.map(\.digest.description) + fetched.filter(\.isHeld).map(\.digest.description))
            try bound(limit)
            #expect(try left() == expected, "of \(limit)")
        }
        try expectRight()
    }

    private func isUploaded(_ digest: Digest) throws -> Bool {
        try count(
            "SELECT count(*) FROM shacache.blob WHERE sha512 = \(digest.bytes) AND account_id IS NOT NULL") == 1
    }

    /// Fails when FetchedBound doesn't go through its pages, or the queue not behind what has left its place.
    @Test func `more than a page goes, also behind a page that was used since`() throws {
        let most = CollectionPage<Int>.size * 2 + 1
        try fetch("first")
        try run(
            """
            INSERT INTO shacache.blob (sha512, size, upstream_id, last_referenced_at)
            SELECT sha512(convert_to(n::text, 'UTF8')), 1, 1, now() - interval '9 days' FROM generate_series(1, \(2 * most)) AS n
            """)
        try run(
            """
            INSERT INTO shacache.blob_download (day, sha512, whole, partial, probes, bytes)
            SELECT (now() AT TIME ZONE 'UTC')::date - 1, sha512(convert_to(n::text, 'UTF8')), 1, 0, 0, 1
            FROM generate_series(1, \(most)) AS n
            """)
        for number in 1...(2 * most) {
            try Data("1".utf8).write(to: URL(filePath: store.path(of: digest("\(number)"))))
        }
        #expect(try bound(most + 5)["removed_blobs"] == most)
        let used: SQL = "SELECT count(*) FROM shacache.blob JOIN shacache.blob_download USING (sha512)"
        #expect(try count(used) == most)
        #expect(try bound(most + 5)["freed_blobs"] == most)
    }

    /// Fails without FetchedBound.untouched.
    @Test func `what came just now stays`() throws {
        let blob = try fetch("12345", days: 0)
        #expect(try bound(0)["removed_blobs"] == 0 && isIntact(blob))
    }

    /// Fails without isBeingRead in FetchedQueue.letGo.
    @Test func `what is being read stays, and the next in its turn goes`() throws {
        let (read, other) = (try fetch("12345", days: 9), try fetch("abcde", days: 8))
        let descriptor = open(store.path(of: read), O_RDONLY)
        try bound(5)
        #expect(try isIntact(read) && !store.files.exists(other))
        close(descriptor)
        try bound(0)
        #expect(!store.files.exists(read))
    }

    /// Fails without the second condition of Pins.holdBlob.
    @Test func `a pinned key holds what an upstream lists there`() throws {
        let (pinned, other) = (try fetch("12345", days: 9), try fetch("abcde", days: 8))
        for (key, blob) in [("pinned", pinned), ("other", other)] {
            let list = try JSONEncoder().encode([["{\"sha512\": \"\(blob)\"}", ""]])
            let fetched = try FetchedList(Array(list), of: Key(key), by: Self.anyEntry, Signers(worker).known())
            try FetchedKeys(worker).store(fetched, of: Key(key), from: "far")
        }
        try run("INSERT INTO shacache.pin (actor, reason, key) VALUES ('t', 'why', 'pinned')")
        try bound(0)
        #expect(try isIntact(pinned) && !store.files.exists(other))
    }

    /// Fails when freed without returnNamed, or at once.
    @Test func `an entry that has come to name what lies in trash brings it back`() throws {
        let blob = try fetch("12345", days: 9)
        try bound(0)
        try entry("1", under: "new", naming: blob)
        try bound(0)
        #expect(try isIntact(blob) && !isInTrash(blob))
        try run("SELECT shacache.forget_entries_with_blob()")
        try expectRight()
    }

    /// Fails without tryLocks in BlobRepository.remove, or without the look at blobs in moveRemoved.
    @Test(arguments: [false, true])
    func `an upload, or a fetch, that meets a removal has a blob of its own`(isUpload: Bool) throws {
        let blob = try fetch("bytes", days: 9)
        let gate = try gate(behind: "DELETE", of: "blob")
        try race(
            at: gate, { try bound(0) },
            meeting: {
                guard !isUpload else { return try store.put("bytes", by: bob, in: database.session()) }
                try fetch("bytes", days: 0)
            })
        try bound(0)
        try bound(0)
        #expect(try isIntact(blob) && usage(of: bob) == (isUpload ? 5 : 0))
        try expectRight()
    }

    /// Fails without `deleting_at` and `last_referenced_at` of the verdict adopted in record_blobs.
    @Test func `an upload between mark and removal keeps it`() throws {
        let blob = try fetch("bytes", days: 9)
        let (blobs, cutoff, record) = try markGoing()
        try upload("bytes")
        _ = try blobs.removeGoing(after: "", cutoff, for: record)
        try bound(0)
        #expect(try isIntact(blob) && usage(of: alice) == 5)
    }

    /// A run up to its marks.
    private func markGoing() throws -> (BlobRepository, Cutoff, CollectionRecord) {
        let blobs = collector()
        let record = try CollectionRecord(goingOnIn: blobs.session, on: "a", by: "tester")
        let cutoff = try Cutoff(untouched: 0, asking: blobs.session)
        try FetchedQueue(in: blobs.session, store.files, cutoff, now: Int(Date.now.timeIntervalSince1970))
            .letGo(bytes: 1, policy: FetchedBound.policy)
        _ = try blobs.mark(after: "", cutoff, for: record)
        return (blobs, cutoff, record)
    }

    /// Fails without moveRemoved in FetchedBound.remove.
    @Test(arguments: [false, true]) func `what a killed run has left, the next one does`(isMoved: Bool) throws {
        let blob = try fetch("bytes", days: 9)
        let (blobs, cutoff, record) = try markGoing()
        _ = try blobs.removeGoing(after: "", cutoff, for: record)
        if isMoved { _ = try store.files.moveToTrash([blob]) }
        try bound(100)
        #expect(isInTrash(blob) && !store.files.exists(blob))
        try bound(100)
        #expect(try !isInTrash(blob) && trashCount() == 0)
        try expectRight()
    }

    /// Fails when BlobRepository.reconcileQuarantine leaves the findings of what has no row any more.
    @Test func `of what was found damaged and is removed, nobody is told for ever`() throws {
        let blob = try fetch("bytes", days: 9)
        let file = store.path(of: blob)
        chmod(file, 0o640)
        try Data("other".utf8).write(to: URL(filePath: file))
        let repository = BlobRepository(store.files, admin)
        #expect(try repository.quarantine(blob, on: blob.shelf, host: "a", by: "tester") != nil)
        try repository.reconcileQuarantine(host: "a", by: "tester")
        #expect(try ScrubFindings(admin).openCount() == 1)
        try bound(0)
        try repository.reconcileQuarantine(host: "a", by: "tester")
        #expect(try ScrubFindings(admin).openCount() == 0 && !store.files.exists(blob))
    }

    /// Fails without `defer` in DeletionRun.byIndexes.
    @Test func `a step that fails leaves the session as it was`() throws {
        let session = collector().session
        let pages = try DeletionRun(in: session, rate: 1)
        #expect(throws: CollectionError.self) { try pages.byIndexes { throw CollectionError.lostSession } }
        #expect(try session.connection.run("SHOW enable_seqscan").first?.text(0) == "on")
    }

    @Test func `beside a collection it doesn't begin`() throws {
        let collection = try Collection(of: collector(), Self.atOnce, rate: 1, on: "host-a", by: "olga")
        #expect(throws: CollectionError.self) { try bound(0) }
        withExtendedLifetime(collection) {}
    }
}
