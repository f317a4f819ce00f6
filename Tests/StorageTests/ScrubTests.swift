import Fixtures
import Foundation
import OpenSSL
import Postgres
import ShaCache
import System
import Testing

@testable import Storage

struct ScrubTests {
    private let store: TestStore
    private let database: TestDatabase
    private let admin: Session
    private let worker: Session
    private let alice: Account

    init() throws {
        store = try TestStore()
        database = try TestDatabase()
        (admin, worker) = (database.session(as: "shacache_admin"), database.session())
        alice = try database.addAccount("alice")
    }

    private func digest(_ text: String) -> Digest { Digest(bytes: Hash.digest(.sha512, of: text.utf8)) }

    private func upload(_ text: String) throws -> Digest {
        try store.put(text, by: alice, in: worker)
        return digest(text)
    }

    /// Of the same size.
    private func damage(_ digest: Digest, at path: String? = nil) throws {
        let path = path ?? store.path(of: digest)
        try FileManager.default.removeItem(atPath: path)
        try Data("BYTES".utf8).write(to: URL(filePath: path))
    }

    private func quarantined(_ digest: Digest) -> String { "\(store.directory.path)/quarantine/\(digest)" }

    private func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    private func blobs(as session: Session? = nil) -> BlobRepository {
        BlobRepository(store.files, session ?? admin)
    }

    /// - Parameter session: nil: all of those in one, which has the lock of the host already.
    private func scrub(
        on host: String = "a", as session: Session? = nil, _ report: @escaping (Scrub.Event) -> Void = { _ in }
    ) throws -> Scrub {
        try Scrub(of: blobs(as: session), on: host, by: "tester", rate: nil, within: 1, report: report)
    }

    private func readAll() throws -> Scrub.Sums {
        let scrub = try scrub()
        try scrub.readDue(within: 1, until: nil)
        return scrub.sums
    }

    private func findings() throws -> [String] {
        try database.connection().run(
            """
            SELECT concat_ws(' ', encode(sha512, 'hex'), is_quarantined, healed_by) FROM shacache.scrub_finding
            ORDER BY id
            """
        ).map { $0.text(0)! }
    }

    private func audit() throws -> [String] {
        try database.connection().run("SELECT concat_ws(' ', actor, action, subject) FROM shacache.audit ORDER BY id")
            .map { $0.text(0)! }
    }

    // MARK: Quarantine

    /// Fails without the comparison in ReadAhead.hash.
    @Test func `what is damaged goes to quarantine, and the next upload heals it`() throws {
        let good = try upload("bytes")
        let bad = try upload("other")
        try damage(bad)
        var sums = try readAll()
        #expect((sums.shelves, sums.files, sums.bytes, sums.damaged, sums.isComplete) == (257, 2, 10, 1, true))
        #expect(try store.files.presence(of: good) == .intact)
        #expect(try store.files.presence(of: bad) == .absent)
        #expect(exists(quarantined(bad)))
        #expect(try findings() == ["\(bad) t"])
        #expect(try audit().last == "tester blob quarantine \(bad)")
        #expect(try ScrubFigures(asking: worker).open == 1)
        _ = try upload("other")
        #expect(try store.files.presence(of: bad) == .intact)
        sums = try readAll()
        #expect(sums.damaged == 0)
        #expect(try findings() == ["\(bad) t an upload"])
        #expect(!exists(quarantined(bad)))
        let figures = try ScrubFigures(asking: worker)
        #expect((figures.open, figures.found, figures.bytes) == (0, 1, 20))
    }

    /// Fails without the second reading in BlobRepository.quarantine: then what was read first would count.
    @Test func `what an upload has healed meanwhile stays`() throws {
        let digest = try upload("bytes")
        #expect(try blobs().quarantine(digest, on: digest.shelf, host: "a", by: "tester") == nil)
        #expect(try store.files.presence(of: digest) == .intact)
        #expect(try findings() == [])
    }

    /// Fails when BlobRepository.quarantine doesn't take the blob's lock.
    @Test(.timeLimit(.minutes(15))) func `a file isn't moved while an upload of it is stored`() throws {
        let digest = try upload("bytes")
        try damage(digest)
        let other = database.connection(as: "postgres")
        let done = DispatchGroup()
        let repository = store.files
        try other.transaction {
            try other.run("SELECT pg_advisory_xact_lock(shacache.blob_lock(\(digest.bytes)))")
            done.enter()
            Thread { [database] in
                let blobs = BlobRepository(repository, database.session(as: "shacache_admin"))
                #expect(throws: Never.self) {
                    let found = try blobs.quarantine(digest, on: digest.shelf, host: "a", by: "tester")
                    #expect(found == nil)
                }
                done.leave()
            }.start()
            let observer = database.connection(as: "postgres")
            let waiting: SQL =
                "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            while try observer.run(waiting).first == nil { Thread.sleep(forTimeInterval: 0.01) }
            try FileManager.default.removeItem(atPath: store.path(of: digest))
            try Data("bytes".utf8).write(to: URL(filePath: store.path(of: digest)))
        }
        #expect(done.wait(timeout: .now() + 20) == .success)
        #expect(exists(store.path(of: digest)) && !exists(quarantined(digest)))
    }

    /// Fails without LocalBlobs.Shelf.hidden among those that are read, and without linkHidden: it would be seen.
    @Test func `a withdrawn blob is read, and healed where no reader looks`() throws {
        let digest = try upload("bytes")
        _ = try blobs().withdraw(digest, Withdrawal(by: "tester", reason: Reason("why")!))
        let hidden = "\(store.directory.path)/withdrawn/\(digest)"
        try damage(digest, at: hidden)
        #expect(try readAll().damaged == 1)
        #expect(!exists(hidden) && exists(quarantined(digest)))
        let scrub = try scrub()
        try scrub.heal(from: "elsewhere", includingLost: true) { _, write in
            try "bytes".utf8CString.withUnsafeBytes { try write(.init(rebasing: $0.dropLast())) }
        }
        #expect(try String(contentsOfFile: hidden, encoding: .utf8) == "bytes")
        #expect(!exists(store.path(of: digest)) && !exists(quarantined(digest)))
        #expect(try findings() == ["\(digest) t elsewhere"])
        #expect(try audit().last == "tester blob heal \(digest)")
    }

    /// Fails without the comparison in BlobRepository.heal.
    @Test func `only the right bytes heal, also of a blob that is lost`() throws {
        let lost = try upload("bytes")
        try FileManager.default.removeItem(atPath: store.path(of: lost))
        var told: [String] = []
        let scrub = try scrub { told.append("\($0)") }
        for text in ["other", "bytes"] {
            try scrub.heal(from: "elsewhere", includingLost: true) { _, write in
                try Array(text.utf8).withUnsafeBytes { try write($0) }
            }
        }
        #expect(told.count == 2 && told[0].contains("other bytes") && told[1].hasPrefix("healed"))
        #expect(try store.files.presence(of: lost) == .intact)
        #expect(try findings() == [])
        #expect(
            try FileManager.default.contentsOfDirectory(atPath: "\(store.directory.path)/incoming/\(store.files.host)")
                == [])
    }

    /// As a crash in BlobRepository.quarantine leaves it. Fails without reconcileQuarantined.
    @Test func `what lies in quarantine without a finding gets one, or goes when the blob is intact`() throws {
        let lost = try upload("bytes")
        let healed = try upload("other")
        try FileManager.default.moveItem(atPath: store.path(of: lost), toPath: quarantined(lost))
        try Data("OTHER".utf8).write(to: URL(filePath: quarantined(healed)))
        _ = try scrub()
        #expect(try findings() == ["\(lost) t"])
        #expect(!exists(quarantined(healed)) && exists(quarantined(lost)))
    }

    @Test func `a damaged file that was never acknowledged is no open finding`() throws {
        let orphan = digest("orphan")
        try Data("bytes".utf8).write(to: URL(filePath: store.path(of: orphan)))
        #expect(try readAll().damaged == 1)
        #expect(!exists(store.path(of: orphan)))
        #expect(try findings() == ["\(orphan) t nothing: it was never acknowledged"])
    }

    /// Fails without the second transaction in BlobRepository.quarantine: nobody would learn of it.
    @Test func `what can't be moved away is a finding all the same`() throws {
        let digest = try upload("bytes")
        try damage(digest)
        // A directory, over which no file is renamed.
        try FileManager.default.createDirectory(atPath: quarantined(digest), withIntermediateDirectories: false)
        #expect(try readAll().damaged == 1)
        #expect(try findings() == ["\(digest) f"])
        rmdir(quarantined(digest))
        #expect(try readAll().damaged == 1)
        #expect(try findings() == ["\(digest) t"])
    }

    // MARK: Shelves

    /// Fails without ORDER BY in ScrubShelves.due.
    @Test func `what wasn't read for longest is read first`() throws {
        let owner = database.connection()
        try owner.run("UPDATE shacache.scrub_shelf SET finished_at = now() - shelf * interval '1 hour'")
        try owner.run("UPDATE shacache.scrub_shelf SET finished_at = NULL WHERE shelf IN (7, 9)")
        try owner.run("UPDATE shacache.scrub_shelf SET started_at = now() WHERE shelf = 9")
        let shelves = ScrubShelves(session: admin)
        let due = try shelves.due(since: shelves.time(250 * 3600 + 60))
        #expect(due == [.visible(9), .visible(7), .hidden] + (251...255).reversed().map { .visible($0) })
    }

    /// Fails without tryLock in ScrubShelves.claim, or without its look whether the shelf is due still.
    @Test func `hosts share the shelves`() throws {
        let (first, second) = (admin, database.session(as: "shacache_admin"))
        let since = try ScrubShelves(session: first).time(0)
        let claimed = try #require(try ScrubShelves(session: first).claim(.visible(3), dueSince: since, on: "a"))
        #expect(try ScrubShelves(session: second).claim(.visible(3), dueSince: since, on: "b") == nil)
        try ScrubShelves(session: first).finish(claimed)
        try ScrubShelves(session: first).release(.visible(3))
        #expect(try ScrubShelves(session: second).claim(.visible(3), dueSince: since, on: "b") == nil)
        #expect(try ScrubShelves(session: second).claim(.visible(4), dueSince: since, on: "b") != nil)
    }

    /// Fails without the position in ScrubShelves.claim.
    @Test func `a shelf that was left is read from there on`() throws {
        let digests = try (0..<3000).map { "\($0)" }.filter { digest($0).bytes[0] == 0 }.map { try upload($0) }
            .sorted { $0.description < $1.description }
        #expect(digests.count > 5)
        try database.connection().run(
            """
            UPDATE shacache.scrub_shelf SET started_at = now(), position = \(digests[3].bytes)
            WHERE shelf = 0
            """)
        #expect(try readAll().files == digests.count - 4)
        // And the next round from its beginning.
        #expect(try readAll().files == digests.count)
    }

    /// Fails without the lock of the host in Scrub.init.
    @Test func `a host has one scrub at a time`() throws {
        let other = database.session(as: "shacache_admin")
        _ = try scrub()
        #expect { _ = try scrub(as: other) } throws: { "\($0)" == "a scrub runs on a already" }
        _ = try scrub(on: "b", as: other)
    }

    /// Fails without requireSession: another host may have the shelf by then.
    @Test func `a scrub whose session has ended stops`() throws {
        _ = try upload("bytes")
        let scrub = try scrub()
        try database.connection(as: "postgres").run(
            """
            SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE usename = 'shacache_admin' AND datname = current_database()
            """)
        #expect(throws: (any Error).self) { try scrub.readDue(within: 1, until: nil) }
        #expect(try ScrubFigures(asking: worker).bytes < 5)
    }

    @Test func `at its time's end a scrub begins no other file`() throws {
        for text in ["a", "b"] { _ = try upload(text) }
        let scrub = try scrub()
        try scrub.readDue(within: 1, until: .now)
        #expect((scrub.sums.files, scrub.sums.isComplete) == (0, false))
    }

    /// Fails without writtenSince in LocalBlobs.blobs, or when it is compared with now.
    @Test func `after a crash what was young is read, however long ago that was`() throws {
        let (old, young) = (try upload("bytes"), try upload("other"))
        for (digest, age) in [(old, 100_000), (young, 90_000)] {
            try damage(digest)
            let times = [timeval(tv_sec: time(nil) - age, tv_usec: 0), timeval(tv_sec: time(nil) - age, tv_usec: 0)]
            utimes(store.path(of: digest), times)
            utimes("\(store.directory.path)/blobs/\(digest.description.prefix(2))", times)
        }
        for shelf in LocalBlobs.Shelf.ofBlobs where ![old.shelf, young.shelf].contains(shelf) {
            utimes("\(store.directory.path)/\(shelf.name)", [timeval(), timeval()])
        }
        let scrub = try scrub()
        try scrub.readYoung(seconds: 3600)
        #expect((scrub.sums.files, scrub.sums.damaged) == (1, 1))
        #expect(exists(store.path(of: old)) && exists(quarantined(young)))
    }

    @Test func `a store that isn't there is no clean one`() throws {
        try FileManager.default.removeItem(atPath: "\(store.directory.path)/blobs")
        #expect(throws: StoreError.self) { _ = try scrub() }
    }

    // MARK: Reading

    /// Fails without the bound in LowestNames, or with a wrong one.
    @Test(arguments: [1, 2, 7, 1000]) func `files are listed in order, some at a time`(_ limit: Int) throws {
        let expected = (0..<20).map { digest("\($0)") }.sorted { $0.description < $1.description }
        for digest in expected.shuffled() {
            try Data().write(to: URL(filePath: "\(store.directory.path)/withdrawn/\(digest)"))
        }
        try Data().write(to: URL(filePath: "\(store.directory.path)/withdrawn/README"))
        var found: [Digest] = []
        while case let page = try store.files.blobs(on: .hidden, after: found.last, limit: limit), !page.isEmpty {
            #expect(page.count <= limit)
            found += page
        }
        #expect(found == expected)
    }

    /// Of 9 MiB, fails to end without the half of the memory that ReadAhead.takeBuffer leaves to the file that is hashed.
    @Test(arguments: [0, 1, 4096, 1 << 20, (1 << 20) + 1, 9 << 20])
    func `files of any size are read to their ends`(_ size: Int) throws {
        let body = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        let digest = Digest(bytes: Hash.digest(.sha512, of: body))
        let path = store.path(of: digest)
        try Data(body).write(to: URL(filePath: path))
        var read: [ReadAhead.File] = []
        let files = ([path, path + "x"] + Array(repeating: path, count: 4)).map { (digest: digest, path: $0) }
        try ReadAhead().hash(files, pace: { _ in }, { read.append($0) })
        #expect(read.map(\.presence) == [.intact, .absent] + Array(repeating: .intact, count: 4))
        #expect(read.map(\.bytes) == [size, 0] + Array(repeating: size, count: 4))
        #expect(try store.files.presenceOnDisk(of: digest, on: digest.shelf) == .intact)
    }
}
