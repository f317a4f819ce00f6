import Fixtures
import Foundation
import Glibc
import OpenSSL
import Postgres
import ShaCache

@testable import Storage

/// A cache with a blob, an entry that names it, and one whose blob never came; and checks of it.
struct CheckedCache: Sendable {
    let store: TestStore
    let database: TestDatabase
    let alice: Account
    let digest = Digest(bytes: Hash.digest(.sha512, of: "bytes".utf8))

    init() throws {
        store = try TestStore()
        database = try TestDatabase()
        try database.accounts.add("alice", comment: "", by: "tester")
        let worker = database.session()
        alice = try Identities(worker).enabledAccount(named: "alice")!
        try store.put("bytes", by: alice, in: worker)
        try list("1", under: "listed", by: alice, naming: digest, in: worker)
        try list("1", under: "early", by: alice, in: worker)
    }

    var path: String { store.directory.path }
    var visible: String { store.path(of: digest) }
    var hidden: String { "\(path)/withdrawn/\(digest)" }

    func findings(isRepairing: Bool = false, isHashing: Bool = false) throws -> [CheckFinding] {
        var found: [CheckFinding] = []
        _ = try StoreCheck(
            of: store.files, database.session(as: "shacache_admin"), repairingAs: isRepairing ? "tester" : nil,
            isHashing: isHashing
        ) { found.append($0) }.run()
        return found
    }

    /// Of checks, and what they call.
    func audit() throws -> [String] {
        try database.connection().run(
            """
            SELECT concat_ws(' ', actor, action, subject, detail) FROM shacache.audit
            WHERE action NOT IN ('account add', 'blob withdraw') ORDER BY id
            """
        ).map { $0.text(0)! }
    }

    /// As the owner of the tables.
    func run(_ statements: String) throws { try database.connection().runScript(statements) }

    func withdraw() throws {
        let withdrawal = Withdrawal(by: "tester", reason: Reason("why")!)
        _ = try BlobRepository(store.files, database.session(as: "shacache_admin")).withdraw(digest, withdrawal)
    }

    /// Puts another file in the blob's place, as a backup without attributes brings it back.
    func replace(_ text: String) throws {
        unlink(visible)
        try Data(text.utf8).write(to: URL(filePath: visible))
    }

    /// Leaves a file that was last written two days ago.
    func leave(_ text: String, at path: String) throws {
        try Data(text.utf8).write(to: URL(filePath: path))
        let time = Date.now - 2 * 86_400
        try FileManager.default.setAttributes([.modificationDate: time], ofItemAtPath: path)
    }
}

/// What can go wrong, once.
enum Fault: CaseIterable {
    case dangling, otherSize, otherBytes, exposed, hidden, unreadable, unconfirmed, directory, spool, restoring,
        leftover,
        usage, keyCount,
        missingKeyCount, notedEarly, unnoted, noted, notedInVain, uploadDay, downloads, archive, trashLost, trashCut,
        trashOrphan, orphan, arriving, unknown, unknownDirectory

    /// Only root can give files away.
    static let makeable = allCases.filter { $0 != .unreadable || geteuid() == 0 }

    var isHarmless: Bool {
        [
            .downloads, .archive, .trashLost, .trashCut, .trashOrphan, .orphan, .arriving, .unknown, .unknownDirectory,
        ].contains(self)
    }

    /// Without the blob's bytes.
    var isRepairable: Bool { !isHarmless && ![.dangling, .otherSize, .otherBytes, .restoring].contains(self) }

    var kind: CheckKind {
        switch self {
        case .dangling: .dangling
        case .otherSize, .otherBytes: .damaged
        case .exposed: .exposed
        case .hidden: .hidden
        case .unreadable: .unreadable
        case .unconfirmed: .unconfirmed
        case .directory, .spool: .directory
        case .restoring: .restoring
        case .leftover: .leftover
        case .usage: .accountUsage
        case .keyCount, .missingKeyCount, .notedEarly: .keyCount
        case .unnoted, .noted, .notedInVain: .entryBeforeBlob
        case .uploadDay: .uploadDay
        case .downloads: .downloadMonth
        case .archive: .archive
        case .trashLost, .trashCut: .trashLost
        case .trashOrphan: .trashOrphan
        case .orphan: .orphan
        case .arriving: .arriving
        case .unknown, .unknownDirectory: .unknown
        }
    }

    func make(in cache: CheckedCache) throws {
        let files = FileManager.default
        switch self {
        case .dangling: unlink(cache.visible)
        case .otherSize: try overwrite("more bytes", in: cache)
        case .otherBytes: try overwrite("wrong", in: cache)
        case .exposed:
            try cache.withdraw()
            try files.moveItem(atPath: cache.hidden, toPath: cache.visible)
        case .hidden: try files.moveItem(atPath: cache.visible, toPath: cache.hidden)
        case .unreadable:
            _ = try output(of: "chown", "-R", "4711:4711", cache.path)
            chown(cache.visible, 0, 0)
            chmod(cache.visible, 0o400)
        case .unconfirmed: try cache.replace("bytes")
        case .directory: rmdir("\(cache.path)/blobs/\(cache.digest.description.hasPrefix("7f") ? "80" : "7f")")
        case .spool: rmdir("\(cache.path)/incoming/\(cache.store.files.host)")
        case .restoring: try Data("2026-11-29T203500Z".utf8).write(to: URL(filePath: "\(cache.path)/restoring"))
        case .leftover: try cache.leave("half", at: "\(cache.path)/incoming/\(cache.store.files.host)/0000000001")
        case .trashLost: try makeTrash(in: cache)
        case .trashCut:
            try makeTrash(in: cache)
            try cache.leave("", at: Self.trash(in: cache))
        case .trashOrphan: try cache.leave("x", at: Self.trash(in: cache))
        case .orphan: try cache.leave("x", at: cache.store.path(of: Self.digest))
        case .arriving: try Data("x".utf8).write(to: URL(filePath: cache.store.path(of: Self.digest)))
        case .unknownDirectory: mkdir("\(cache.path)/blobs/7f/strange", 0o700)
        case .unknown: try Data().write(to: URL(filePath: "\(cache.path)/strange"))
        case .archive: try makeArchive(in: cache)
        case .noted: try makeNoted(in: cache)
        default: try cache.run(statement)
        }
    }

    /// Of a blob that was never uploaded.
    static let digest = Digest(bytes: Hash.digest(.sha512, of: "x".utf8))

    static func trash(in cache: CheckedCache) -> String { "\(cache.path)/trash/\(digest)" }

    /// The row of one that was fetched, which no account's sums have.
    func makeTrash(in cache: CheckedCache) throws {
        try cache.run(
            """
            WITH far AS (INSERT INTO shacache.upstream (name) VALUES ('far') RETURNING id)
            INSERT INTO shacache.trash (
                sha512, size, upstream_id, created_at, last_referenced_at, is_shared, policy, moved_at)
            SELECT '\\x\(Self.digest)', 1, id, now(), now(), true, 'old', now() FROM far
            """)
    }

    private var statement: String {
        switch self {
        case .usage: "UPDATE shacache.account_usage SET bytes = bytes + 1"
        case .keyCount: "UPDATE shacache.key_count SET entries = 7 WHERE key = 'listed'"
        case .missingKeyCount: "DELETE FROM shacache.key_count WHERE key = 'listed'"
        case .notedEarly: "UPDATE shacache.key_count SET last_at = last_at - interval '1 s' WHERE key = 'listed'"
        case .unnoted: "DELETE FROM shacache.entry_before_blob"
        case .notedInVain: "INSERT INTO shacache.entry_before_blob (created_at, entry_id) VALUES (now(), 4711)"
        case .uploadDay: "INSERT INTO shacache.closed_day (day) VALUES ((now() AT TIME ZONE 'UTC')::date)"
        case .downloads: "INSERT INTO shacache.download_day VALUES ('2026-01-05', 'key', 1, 0, 0, 0, 100)"
        default: ""
        }
    }

    private func overwrite(_ text: String, in cache: CheckedCache) throws {
        chmod(cache.visible, 0o640)
        let file = try FileHandle(forWritingTo: URL(filePath: cache.visible))
        try file.write(contentsOf: Data(text.utf8))
        try file.close()
        chmod(cache.visible, 0o440)
    }

    private func makeArchive(in cache: CheckedCache) throws {
        let key = String(repeating: "a", count: 32)
        try list("1", under: key, by: cache.alice, naming: cache.digest, in: cache.database.session())
        try cache.run(
            """
            UPDATE shacache.entry SET software_url = 'https://example.org', multiarch = 'x86', os = '{debian,12}'
            WHERE key = '\(key)';
            INSERT INTO shacache.archive_check (sha512, key, problem)
            SELECT sha512, key, 'it is none' FROM shacache.entry WHERE key = '\(key)'
            """)
    }

    /// Its blob came three days ago.
    private func makeNoted(in cache: CheckedCache) throws {
        let late = Digest(bytes: Hash.digest(.sha512, of: "late".utf8))
        try list("1", under: "late", by: cache.alice, naming: late, in: cache.database.session())
        try cache.store.put("late", by: cache.alice, in: cache.database.session())
        try cache.run("UPDATE shacache.blob SET created_at = now() - interval '3 days' WHERE size = 4")
    }
}
