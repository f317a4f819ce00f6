import Fixtures
import Foundation
import Postgres
import Testing

@testable import Storage

/// Plans on a real database, compared with what plain loops make of the same cache.
struct CollectionPlanTests {
    private let database: TestDatabase
    private let session: Session
    private let owner: Connection
    private let now = Int(Date.now.timeIntervalSince1970)

    init() throws {
        database = try TestDatabase()
        session = database.session(as: "shacache_admin")
        owner = database.connection()
        for name in GeneratedCache.names { try database.accounts.add(name, comment: "", by: "tester") }
        for (number, name) in GeneratedCache.signerNames.enumerated() {
            try owner.run(
                "INSERT INTO shacache.signer (name, public_key, certificate) VALUES (\(name), \([UInt8(number)]), '')")
        }
    }

    /// Fails without the ends of months in CollectionPlan+Use, among others.
    @Test(arguments: 1...6) func `a plan is what plain loops make of the same cache`(_ seed: Int) throws {
        let cache = GeneratedCache(seed: UInt64(seed), now: now)
        try store(cache)
        var chance = Chance(UInt64(1000 + seed))
        var (planned, refused) = (0, 0)
        for _ in 1...25 {
            let policies = Self.policies(&chance)
            let begin = now - [1000, 1000, 50][chance.below(3)] * GeneratedCache.day
            let order = Dictionary(uniqueKeysWithValues: try digestOrder(of: cache).enumerated().map { ($1, $0) })
            try owner.run("UPDATE shacache.download_day SET day = to_timestamp(\(begin))::date")
            let dayOfBegin = begin - begin % GeneratedCache.day
            let expected = cache.plan(policies, begin: dayOfBegin, blobOrder: order)
            let visible = cache.entries.filter { !$0.isWithdrawn }
            if visible.allSatisfy({ expected.entries[$0.id] != nil }) {
                #expect(throws: RetentionError.self) { try CollectionPlan(session, policies, now: now).prepare() }
                refused += 1
                continue
            }
            try CollectionPlan(session, policies, now: now).prepare()
            #expect(try going("entry_id, policy FROM pg_temp.going_entry") == expected.entries, "\(policies)")
            #expect(
                try going(
                    "('x' || encode(substr(blob.sha512, 1, 4), 'hex'))::bit(32)::bigint, policy FROM pg_temp.going_blob AS blob"
                )
                    == byPrefix(expected.blobs, cache), "\(policies)")
            planned += expected.entries.count + expected.blobs.count
        }
        #expect(planned > 300)
    }

    private func going(_ query: String) throws -> [Int: String] {
        let rows = try session.connection.run(SQL(stringLiteral: "SELECT \(query)"))
        return Dictionary(uniqueKeysWithValues: rows.map { ($0.int(0)!, $0.text(1)!) })
    }

    /// Under the first four bytes of the digests of their numbers.
    private func byPrefix(_ blobs: [Int: String], _ cache: GeneratedCache) throws -> [Int: String] {
        let prefixes = try owner.run(
            """
            SELECT i, ('x' || encode(substr(sha512(int8send(i)), 1, 4), 'hex'))::bit(32)::bigint
            FROM generate_series(1::bigint, 120) AS i
            """)
        let prefix = Dictionary(uniqueKeysWithValues: prefixes.map { ($0.int(0)!, $0.int(1)!) })
        return Dictionary(uniqueKeysWithValues: blobs.map { (prefix[$0.key]!, $0.value) })
    }

    /// The numbers of the blobs in the order of their digests.
    private func digestOrder(of cache: GeneratedCache) throws -> [Int] {
        try owner.run("SELECT i FROM generate_series(1::bigint, 120) AS i ORDER BY sha512(int8send(i))").map {
            $0.int(0)!
        }
    }

    private static func policies(_ chance: inout Chance) -> [RetentionPolicy] {
        func maybe<Value>(_ odds: Int, _ value: @autoclosure () -> Value) -> Value? {
            chance.below(odds) == 0 ? value() : nil
        }
        func period() -> RetentionPeriod { RetentionPeriod("\(20 + chance.below(300)) days")! }
        return (0...chance.below(5)).map { number in
            var keeps = RetentionPolicy.Keeps(sinceUpload: maybe(2, period()), sinceUse: maybe(2, period()))
            guard chance.below(4) > 0 else {
                if keeps.isEmpty { keeps.sinceUpload = period() }
                return RetentionPolicy(
                    name: "policy-\(number)", subject: .unnamedBlobs(account: maybe(2, "ann")), keeps: keeps)
            }
            keeps.newest = maybe(
                3, RetentionPolicy.Newest(count: 1 + chance.below(4), group: maybe(2, .key) ?? .softwareRelease))
            keeps.bytes = maybe(3, 1 + chance.below(30_000))
            let filter = RetentionPolicy.EntryFilter(
                keyPrefix: maybe(5, "file-"), account: maybe(3, GeneratedCache.names[chance.below(2)]),
                signer: maybe(4, GeneratedCache.signerNames[chance.below(2)]),
                kind: maybe(2, EntryKind.allCases[chance.below(3)]), isExpired: chance.below(4) == 0)
            if keeps.isEmpty, !filter.isExpired { keeps.sinceUpload = period() }
            return RetentionPolicy(name: "policy-\(number)", subject: .entries(filter), keeps: keeps)
        }
    }
}

/// What is stored.
extension CollectionPlanTests {
    private func store(_ cache: GeneratedCache) throws {
        let day = GeneratedCache.day
        try owner.transaction {
            try owner.run("INSERT INTO shacache.withdrawal (actor, target, reason) VALUES ('t', 'entries', 'why')")
            for blob in cache.blobs.values {
                try owner.run(
                    """
                    INSERT INTO shacache.blob (sha512, size, account_id, created_at, last_referenced_at, withdrawal_id, left_by)
                    VALUES (sha512(int8send(\(blob.number))), \(blob.size), \(blob.account + 1), to_timestamp(\(blob.created)),
                        to_timestamp(\(blob.lastReferenced)), \(blob.isWithdrawn ? 1 : nil), \(blob.leftBy))
                    """)
            }
            for entry in cache.entries {
                let date =
                    entry.expires.map { ", \"\(entry.id % 2 == 0 ? "valid-until" : "expiration_date")\": \($0)" } ?? ""
                try owner.run(
                    """
                    INSERT INTO shacache.entry (id, key, metadata, signature, digest, sha512, account_id, signature_result,
                        signer_id, created_at, software_url, multiarch, withdrawal_id)
                    OVERRIDING SYSTEM VALUE
                    VALUES (\(entry.id), \(entry.key), \("{\"sha512\": \"\"\(date)}"), '', sha256(int8send(\(entry.id))),
                        sha512(int8send(\(entry.blob))), \(entry.account + 1),
                        \(entry.signer == nil ? "unsigned" : "verified"), \(entry.signer.map { $0 + 1 }),
                        to_timestamp(\(entry.created)), \(entry.release), \(entry.platform), \(entry.isWithdrawn ? 1 : nil))
                    """)
            }
            for use in cache.downloads {
                try owner.run(
                    """
                    INSERT INTO shacache.blob_download (day, sha512, whole, partial, probes, bytes)
                    VALUES (to_timestamp(\(use.day))::date, sha512(int8send(\(use.name))), 1, 0, 0, 1)
                    """)
            }
            for use in cache.lookups {
                try owner.run(
                    """
                    INSERT INTO shacache.key_lookup (day, key, found, not_found, bytes)
                    VALUES (to_timestamp(\(use.day))::date, \(use.key), 1, 0, 1) ON CONFLICT DO NOTHING
                    """)
            }
            for use in cache.blobQuestions {
                try owner.run(
                    "INSERT INTO shacache.blob_question VALUES (sha512(int8send(\(use.name))), to_timestamp(\(use.day))::date)"
                )
            }
            for use in cache.keyQuestions {
                try owner.run(
                    """
                    INSERT INTO shacache.key_question AS known VALUES (\(use.key), to_timestamp(\(use.day))::date)
                    ON CONFLICT (key) DO UPDATE SET day = greatest(known.day, excluded.day)
                    """)
            }
            try owner.run(
                """
                INSERT INTO shacache.download_day (day, kind, whole, partial, probes, not_found, bytes)
                VALUES (to_timestamp(\(now - 1000 * day))::date, 'blob', 0, 0, 0, 0, 0)
                """)
            try owner.run("INSERT INTO shacache.task_run (task, host, findings) VALUES ('ingest-log', 'cache', 0)")
            for id in cache.pinnedEntries { try pin("entry_id", "\(id)") }
            for key in cache.pinnedKeys { try pin("key", "'\(key)'") }
            for number in cache.pinnedBlobs { try pin("sha512", "sha512(int8send(\(number)))") }
            for release in cache.pinnedReleases { try pin("software_url", "'\(release)'") }
        }
    }

    private func pin(_ column: String, _ value: String) throws {
        try owner.run(
            SQL(stringLiteral: "INSERT INTO shacache.pin (actor, reason, \(column)) VALUES ('t', 'why', \(value))"))
    }
}

/// What is refused.
extension CollectionPlanTests {
    private func plan(_ policies: RetentionPolicy...) throws {
        try CollectionPlan(session, policies, now: now).prepare()
    }

    private func policy(
        _ filter: RetentionPolicy.EntryFilter = .init(), _ keeps: RetentionPolicy.Keeps
    ) -> RetentionPolicy {
        RetentionPolicy(name: "old", subject: .entries(filter), keeps: keeps, line: 7)
    }

    @Test func `what isn't there is named, with the line of the policy`() throws {
        let keeps = RetentionPolicy.Keeps(sinceUpload: RetentionPeriod("1 day"))
        #expect {
            try plan(policy(.init(account: "eve"), keeps))
        } throws: { "\($0)" == "line 7: the retention policy old: there is no account eve" }
        #expect {
            try plan(policy(.init(signer: "eve"), keeps))
        } throws: { "\($0)" == "line 7: the retention policy old: there is no signer eve" }
        #expect {
            try plan(RetentionPolicy(name: "b", subject: .unnamedBlobs(account: "eve"), keeps: keeps))
        } throws: { "\($0)" == "the retention policy b: there is no account eve" }
    }

    /// Fails without `checkUse`.
    @Test func `a policy by use is refused while the access log of a host is not counted`() throws {
        let byUse = policy(.init(), .init(sinceUse: RetentionPeriod("30 days")))
        #expect { try plan(byUse) } throws: { "\($0)".contains("no host has ever run") }
        try owner.run(
            """
            INSERT INTO shacache.task_run (task, host, at, findings) VALUES ('ingest-log', 'a', now(), 0),
                ('ingest-log', 'b', now() - interval '2 days', 0), ('survey', 'c', now() - interval '9 days', 0)
            """)
        #expect { try plan(byUse) } throws: { "\($0)".contains("is late on b (last at ") }
        try plan(policy(.init(), .init(sinceUpload: RetentionPeriod("30 days"))))
        try owner.run("UPDATE shacache.task_run SET is_forgotten = true WHERE host = 'b'")
        try plan(byUse)
    }

    /// Fails without `refuseToRemoveEverything`.
    @Test func `a plan that leaves nothing is refused`() throws {
        try owner.run(
            """
            INSERT INTO shacache.blob (sha512, size, account_id, created_at, last_referenced_at)
            SELECT sha512(int8send(i)), 5, 1, now() - interval '9 days', now() - interval '9 days'
            FROM generate_series(1::bigint, 2) AS i;
            """)
        let old = RetentionPolicy.Keeps(sinceUpload: RetentionPeriod("1 day"))
        let ofBlobs = RetentionPolicy(name: "loose", subject: .unnamedBlobs(account: nil), keeps: old)
        #expect {
            try plan(ofBlobs)
        } throws: { "\($0)" == "the retention policy loose: every blob would go, by loose: that is hardly meant" }
        try owner.run(
            """
            INSERT INTO shacache.entry (key, metadata, signature, digest, sha512, account_id, signature_result, created_at)
            SELECT 'k', '{}', '', sha256(int8send(i)), sha512(int8send(1::bigint)), 1, 'unsigned', now() - i * interval '2 days'
            FROM generate_series(1::bigint, 2) AS i
            """)
        #expect { try plan(policy(.init(), old)) } throws: { "\($0)".contains("every visible entry would go, by old") }
        try plan(ofBlobs, policy(.init(), .init(sinceUpload: RetentionPeriod("3 days"))))
        #expect(try session.connection.run("SELECT count(*) FROM pg_temp.going_blob").first?.int(0) == 1)
        #expect(
            try session.connection.run("SELECT why FROM pg_temp.going_entry").first?.text(0)?.hasPrefix("uploaded 20")
                == true)
    }

    /// So many that PostgreSQL shares them among parallel workers, which read no temporary table.
    @Test func `of many entries, those whose time is over go`() throws {
        try owner.run(
            """
            INSERT INTO shacache.entry (id, key, metadata, signature, digest, sha512, account_id, signature_result)
            OVERRIDING SYSTEM VALUE
            SELECT i, 'k' || i, format('{"valid-until": "%s-01-01"}', CASE i % 3 WHEN 0 THEN 2020 ELSE 2999 END), repeat('s', 600),
                sha256(int8send(i)), sha512(int8send(i)), 1, 'unsigned'
            FROM generate_series(1001::bigint, 31000) AS i
            """)
        try owner.runScript("ANALYZE shacache.entry")
        try plan(policy(.init(isExpired: true), .init()))
        let going = try session.connection.run(
            "SELECT count(*), count(*) FILTER (WHERE entry_id % 3 = 0), min(why) FROM pg_temp.going_entry"
        ).first!
        #expect([going.int(0), going.int(1)] == [10000, 10000])
        #expect(going.text(2)?.hasSuffix(", expired 2020-01-02") == true)
    }

    @Test func `without a policy nothing goes`() throws {
        try plan()
        #expect(try session.connection.run("SELECT FROM pg_temp.going_entry").count == 0)
    }
}
