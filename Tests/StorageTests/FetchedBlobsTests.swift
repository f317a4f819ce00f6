import Dispatch
import Fixtures
import Foundation
import OpenSSL
import Postgres
import ShaCache
import Storage
import Synchronization
import Testing

struct FetchedBlobsTests {
    private let database: TestDatabase
    private let store: TestStore
    private let blobs: FetchedBlobs

    init() throws {
        let database = try TestDatabase()
        self.database = database
        store = try TestStore()
        blobs = FetchedBlobs(in: store.files) { try $0(database.session()) }
    }

    private func digest(of text: String) -> Digest { Digest(bytes: Hash.digest(.sha512, of: text.utf8)) }

    private func fetch(_ text: String, from upstream: String = "far") throws -> Bool {
        let digest = digest(of: text)
        let body = try SpooledBody(of: digest, from: upstream, in: store.files)
        try Array(text.utf8).withUnsafeBytes { try body.append($0) }
        return try blobs.store(body, as: digest, size: text.utf8.count, from: upstream)
    }

    private func rows(_ condition: SQL = "true") throws -> [String] {
        try database.connection().run(
            """
            SELECT upstream.name || ' ' || size || ' ' || (account_id IS NULL) FROM shacache.blob
            LEFT JOIN shacache.upstream ON upstream.id = upstream_id WHERE \(condition) ORDER BY size
            """
        ).map { $0.text(0) ?? "" }
    }

    @Test func `each is of its upstream, and of no account`() throws {
        #expect(try fetch("a") && fetch("bb", from: "other") && fetch("ccc") && fetch(""))
        #expect(try rows() == ["far 0 true", "far 1 true", "other 2 true", "far 3 true"])
        for text in ["", "a", "bb", "ccc"] { #expect(try store.files.presence(of: digest(of: text)) == .intact) }
    }

    /// Fails without the group in FetchedBlobs.store.
    @Test func `those that come at once go together`() throws {
        let (finished, gate) = (DispatchGroup(), database.connection())
        let stored = Atomic(0)
        try gate.transaction {
            try gate.run("LOCK TABLE shacache.blob IN EXCLUSIVE MODE")
            for number in 0..<20 {
                finished.enter()
                Thread { [self] in
                    if (try? fetch("number \(number)", from: "far \(number % 3)")) == true {
                        stored.add(1, ordering: .relaxed)
                    }
                    finished.leave()
                }.start()
            }
            try database.waitForSession(where: "wait_event_type = 'Lock'")
            // The others have a file to write, and wait in their threads.
            Thread.sleep(forTimeInterval: 1)
        }
        #expect(finished.wait(timeout: .now() + 30) == .success)
        #expect(stored.load(ordering: .relaxed) == 20)
        let transactions = try database.connection().run("SELECT count(DISTINCT xmin::text) FROM shacache.blob")
        #expect(try rows().count == 20 && transactions.first!.int(0)! < 10)
    }

    @Test func `what is withdrawn is not stored`() throws {
        let admin = database.session(as: "shacache_admin")
        #expect(try fetch("a"))
        let withdrawal = Withdrawal(by: "tester", reason: Reason("why")!)
        _ = try BlobRepository(store.files, admin).withdraw(digest(of: "a"), withdrawal)
        #expect(try !fetch("a"))
        #expect(try store.files.presence(of: digest(of: "a")) == .absent)
    }

    @Test func `what an account has uploaded stays its own, and is healed`() throws {
        let alice = try database.addAccount("alice")
        try store.put("a", by: alice, in: database.session())
        let path = store.path(of: digest(of: "a"))
        try FileManager.default.removeItem(atPath: path)
        #expect(try fetch("a"))
        #expect(try String(contentsOfFile: path, encoding: .utf8) == "a")
        #expect(try rows("account_id IS NOT NULL").count == 1)
    }
}
