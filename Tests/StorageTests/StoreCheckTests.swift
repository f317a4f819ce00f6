import Fixtures
import Foundation
import OpenSSL
import Postgres
import ShaCache
import System
import Testing

@testable import Storage

struct StoreCheckTests {
    private let cache: CheckedCache

    init() throws { cache = try CheckedCache() }

    @Test func `a cache that is in order has no findings`() throws {
        #expect(try cache.findings(isHashing: true).isEmpty)
        #expect(try cache.findings(isRepairing: true).isEmpty)
        #expect(try cache.audit().isEmpty)
    }

    /// Each fails without its line in StoreCheck.check, StoreCheck.checkSums or StoreCheck.checkDirectories; and when
    /// CheckKind calls repairable what isn't, or the other way round.
    @Test(arguments: Fault.makeable)
    func `each fault is found, repaired when nothing is lost by it, and gone then`(_ fault: Fault) throws {
        try fault.make(in: cache)
        let isHashing = fault == .otherBytes
        for _ in 1...2 {
            let found = try cache.findings(isHashing: isHashing)
            #expect(found.map(\.kind) == [fault.kind])
            #expect(found.allSatisfy { !$0.isRepaired })
        }
        #expect(try cache.audit().isEmpty)
        let repaired = try cache.findings(isRepairing: true, isHashing: isHashing)
        #expect(repaired.map(\.kind) == [fault.kind])
        #expect(repaired.map(\.isRepaired) == [fault.isRepairable], "\(repaired)")
        let left = try cache.findings(isRepairing: true, isHashing: isHashing)
        #expect(left.map(\.kind) == (fault.isRepairable ? [] : [fault.kind]))
        #expect(
            try cache.audit().filter { $0.hasPrefix("tester check repair") }
                == (fault.isRepairable ? ["tester check repair \(fault.kind.rawValue) 1 of 1"] : []))
    }

    /// Fails without CheckKind.isHarmless: one crash, and no check would succeed any more.
    @Test(arguments: Fault.makeable)
    func `only what somebody has to look at counts as a fault`(_ fault: Fault) throws {
        try fault.make(in: cache)
        let report = try StoreCheck(
            of: cache.store.files, cache.database.session(as: "shacache_admin"), isHashing: true
        ).run()
        #expect(report.faults == (fault.isHarmless ? 0 : 1))
        let row = try #require(report.table.rows.first { $0[0].text == fault.kind.rawValue })
        #expect(row[1].text == "1" && row[2].text == "0" && !row[4].text.isEmpty && !row[5].text.isEmpty)
        #expect(report.table.rows.count { $0[5].text.isEmpty } == CheckKind.allCases.count - 1)
    }

    @Test func `of a lost blob, the entries that name it are said`() throws {
        for number in 1...4 {
            try list(
                "\(number)", under: "key-\(number)", by: cache.alice, naming: cache.digest, in: cache.database.session()
            )
        }
        try Fault.dangling.make(in: cache)
        let found = try cache.findings()
        #expect(found.map(\.name) == [cache.digest.description])
        #expect(found.map(\.bytes) == [5])
        #expect(found.map(\.detail) == ["entries name it under listed, key-1, key-2 and 2 more"])
        try cache.store.put("bytes", by: cache.alice, in: cache.database.session())
        #expect(try cache.findings().isEmpty)
    }

    /// Fails without the look at `isHashing` in StoreCheck.checkBytes, or at items without row and withdrawn ones.
    @Test func `changed bytes of the same number are found by hashing alone, wherever they lie`() throws {
        try cache.withdraw()
        let orphan = Digest(bytes: Hash.digest(.sha512, of: "other".utf8))
        for path in [cache.hidden, cache.store.path(of: orphan)] {
            unlink(path)
            try Data("wrong".utf8).write(to: URL(filePath: path))
        }
        #expect(try cache.findings().map(\.kind) == [.arriving])
        let found = try cache.findings(isHashing: true)
        #expect(Set(found.map(\.kind)) == [.damaged, .arriving])
        #expect(found.count { $0.detail == "has other bytes than its name says" } == 2)
    }

    /// Fails without LocalBlobs.confirmSize in StoreCheck.checkUnconfirmed: what it calls repaired would be a 404.
    @Test func `no size is written down beside bytes that are not what their name says`() throws {
        try cache.replace("wrong")
        #expect(try cache.findings().map(\.kind) == [.unconfirmed])
        #expect(try cache.findings(isRepairing: true).map(\.kind) == [.damaged])
        #expect(try cache.store.files.presence(of: cache.digest) == .unconfirmed(size: 5))
    }

    /// Fails without BlobRepository.isBeingLifted: a lift shows the row first, and then the file.
    @Test func `a blob that is being lifted is no finding, unless its lift has ended long ago`() throws {
        try cache.withdraw()
        let number = try cache.database.connection().run("SELECT max(id) FROM shacache.withdrawal").first!.int(0)!
        try Withdrawals(cache.database.session(as: "shacache_admin")).clear(number, by: "tester", in: cache.store.files)
        #expect(try cache.findings(isHashing: true).isEmpty && cache.findings(isRepairing: true).isEmpty)
        try cache.run("UPDATE shacache.withdrawal SET lifted_at = lifted_at - interval '2 minutes'")
        #expect(try cache.findings().map(\.kind) == [.hidden])
        #expect(try cache.findings(isRepairing: true).map(\.isRepaired) == [true])
    }

    @Test func `what is hidden or shown by a repair is where its row has it`() throws {
        try Fault.exposed.make(in: cache)
        _ = try cache.findings(isRepairing: true)
        #expect(try cache.store.files.presence(of: cache.digest) == .absent)
        #expect(try String(contentsOfFile: cache.hidden, encoding: .utf8) == "bytes")
    }

    /// Fails without `goingOn` in StoreCheck.add: the first failure would end it.
    @Test func `what can't be repaired is said, and the rest is repaired`() throws {
        try Fault.leftover.make(in: cache)
        try #require(rmdir("\(cache.path)/withdrawn") == 0)
        try Data().write(to: URL(filePath: "\(cache.path)/withdrawn"))
        let found = try cache.findings(isRepairing: true)
        #expect(found.map(\.kind) == [.directory, .leftover])
        #expect(found.map(\.isRepaired) == [false, true])
        #expect(found[0].detail.hasPrefix("is not a directory: not repaired: open withdrawn: "))
    }

    /// Fails without the SELECT in StoreCheck.goingOn, or without what it catches.
    @Test func `what the database refuses is said, and the rest is compared`() throws {
        try Fault.keyCount.make(in: cache)
        try Fault.leftover.make(in: cache)
        try cache.run("REVOKE INSERT ON shacache.key_count FROM shacache_owner")
        var found: [CheckFinding] = []
        let report = try StoreCheck(
            of: cache.store.files, cache.database.session(as: "shacache_admin"), repairingAs: "tester"
        ) { found.append($0) }.run()
        #expect(found.map(\.kind) == [.leftover])
        #expect(report.failures.count == 1 && report.failures[0].contains("permission denied for table key_count"))
    }

    /// Fails without LocalBlobs.locking in StoreCheck.run.
    @Test func `of two repairs at once, the second says so and changes nothing`() throws {
        try Fault.leftover.make(in: cache)
        _ = try StoreCheck(
            of: cache.store.files, cache.database.session(as: "shacache_admin"), repairingAs: "tester"
        ) { _ in
            #expect { try cache.findings(isRepairing: true) } throws: {
                "\($0)" == "another check --repair is at work here: wait for its end"
            }
        }.run()
        #expect(try cache.findings(isRepairing: true).isEmpty)
    }

    /// Fails without LocalBlobs.owner in StoreCheck.init: it would make a store on the disk below.
    @Test func `where the blobs' directory is missing, nothing is made in its place`() throws {
        try FileManager.default.removeItem(atPath: "\(cache.path)/blobs")
        #expect(throws: StoreError.self) { try cache.findings(isRepairing: true) }
        #expect(access("\(cache.path)/blobs", F_OK) != 0)
    }

    /// Fails without the look at all of trash in BlobRepository.trashFault.
    @Test func `in trash, what is as a collection leaves it is no finding`() throws {
        try Fault.trashLost.makeTrash(in: cache)
        let path = Fault.trash(in: cache)
        try Data("x".utf8).write(to: URL(filePath: path))
        #expect(try cache.findings(isHashing: true).isEmpty)
        // Other bytes of the same number.
        try Data("y".utf8).write(to: URL(filePath: path))
        #expect(try cache.findings().isEmpty)
        let found = try cache.findings(isHashing: true)
        #expect(found.map(\.kind) == [.trashLost])
        #expect(found.map(\.detail) == ["has other bytes than its name says; no entry names it"])
        // Removed, and not yet moved.
        try cache.run("UPDATE shacache.trash SET moved_at = NULL")
        try FileManager.default.moveItem(atPath: path, toPath: cache.store.path(of: Fault.digest))
        #expect(try cache.findings().isEmpty)
        // It came again.
        unlink(cache.store.path(of: Fault.digest))
        try cache.store.put("x", by: cache.alice, in: cache.database.session())
        #expect(try cache.findings(isHashing: true).isEmpty)
        try FileManager.default.copyItem(atPath: cache.visible, toPath: "\(cache.path)/trash/\(cache.digest)")
        #expect(try cache.findings().map(\.kind) == [.trashOrphan])
    }

    @Test func `of a lost blob in trash, the entries that name it are said`() throws {
        try Fault.trashLost.makeTrash(in: cache)
        try list("1", under: "late", by: cache.alice, naming: Fault.digest, in: cache.database.session())
        #expect(try cache.findings().map(\.detail) == ["has no file; entries name it under late"])
    }

    @Test func `a spool that is missing is made for the store's owner`() throws {
        try Fault.spool.make(in: cache)
        #expect(try cache.findings().map(\.name) == ["incoming/\(cache.store.files.host)"])
        #expect(throws: StoreError.self) { try cache.store.files.probe() }
        _ = try cache.findings(isRepairing: true)
        try cache.store.files.probe()
    }

    /// Fails without LocalBlobs.prepareForOwner: root would make what workers can't use.
    @Test(.enabled(if: geteuid() == 0)) func `in a store that is new, what is made is its owner's`() throws {
        let directory = try TemporaryDirectory()
        chown(directory.path, 4711, 4712)
        let files = LocalBlobs(directory: directory.path)
        for _ in 1...2 {
            try files.prepareForOwner()
            for name in ["blobs", "blobs/00", "journal", "incoming/\(files.host)"] {
                let status = try FileManager.default.attributesOfItem(atPath: "\(directory.path)/\(name)")
                #expect(status[.ownerAccountID] as? Int == 4711 && status[.groupOwnerAccountID] as? Int == 4712)
            }
            // Where the disk is mounted, its top may be root's.
            chown(directory.path, 0, 0)
            rmdir("\(directory.path)/blobs/00")
        }
    }

    @Test(arguments: [("", true), ("/blobs/new", true), ("/..", true), ("/../beside-the-store", false)])
    func `a directory in the store, or around it, is told apart from others`(_ path: String, _ overlaps: Bool) throws {
        #expect(cache.store.files.overlaps(cache.path + path) == overlaps)
        #expect(cache.store.files.overlaps("/") && !cache.store.files.overlaps("/nowhere/at/all"))
        #expect(!cache.store.files.overlaps(cache.path + "2"))
    }

    /// Fails when recount_keys sets the sum instead of adding the difference.
    @Test func `a repair counts what commits meanwhile`() throws {
        try Fault.keyCount.make(in: cache)
        // Behind the snapshot of the comparison, and before the change, until there is a row in shacache.gate.
        try cache.run(
            """
            CREATE TABLE shacache.gate ();
            CREATE FUNCTION shacache.pause() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                PERFORM pg_advisory_xact_lock(7, 7);
                WHILE NOT EXISTS (SELECT FROM shacache.gate) LOOP PERFORM pg_sleep(0.01); END LOOP;
                RETURN NEW;
            END$$;
            CREATE TRIGGER pause BEFORE INSERT ON shacache.key_count FOR EACH ROW
                WHEN (session_user = 'shacache_admin') EXECUTE FUNCTION shacache.pause()
            """)
        let repair = try Background { [cache] in try cache.findings(isRepairing: true).map(\.isRepaired) }
        let observer = cache.database.connection()
        let isPaused: SQL = """
            SELECT FROM pg_locks WHERE locktype = 'advisory' AND classid = 7
                AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
            """
        while try observer.run(isPaused).first == nil { usleep(10_000) }
        try list("2", under: "listed", by: cache.alice, naming: cache.digest, in: cache.database.session())
        try cache.run("INSERT INTO shacache.gate DEFAULT VALUES")
        #expect(try repair.value() == [true])
        #expect(try cache.findings().isEmpty)
    }
}
