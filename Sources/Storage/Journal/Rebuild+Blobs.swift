import Glibc
import Postgres
import ShaCache
import System

/// The rows of blobs, made from their files.
extension Rebuild {
    /// The account of blobs that no entry names.
    private static let nobody = "rebuilt"

    func makeBlobs() throws {
        try connection.run(
            """
            INSERT INTO shacache.account (id, name, comment, disabled_at) OVERRIDING SYSTEM VALUE
            SELECT coalesce(max(id), 0) + 1, \(Self.nobody), 'Blobs that no entry named when the database was rebuilt', now()
            FROM shacache.account ON CONFLICT (name) DO NOTHING
            """)
        for byte in UInt8.min...UInt8.max { try makeBlobs(of: .visible(byte)) }
        try makeBlobs(of: .hidden)
    }

    private func makeBlobs(of shelf: LocalBlobs.Shelf) throws {
        var last: Digest?
        while case let digests = try files.blobs(on: shelf, after: last, limit: 10_000), !digests.isEmpty {
            last = digests.last
            let found = digests.compactMap { digest in files.storedFacts(of: digest, on: shelf).map { (digest, $0) } }
            let (names, facts) = (found.map(\.0.description), found.map(\.1))
            if shelf == .hidden { try makeWithdrawals(of: names) }
            try connection.run(
                """
                INSERT INTO shacache.blob (
                    sha512, size, account_id, created_at, last_referenced_at, withdrawal_id, is_shared)
                SELECT decode(name, 'hex'), size, coalesce(
                    (SELECT entry.account_id FROM shacache.entry WHERE entry.sha512 = decode(name, 'hex') ORDER BY id LIMIT 1),
                    (SELECT id FROM shacache.account WHERE account.name = \(Self.nobody))),
                    to_timestamp(modified), now(),
                    (SELECT max(withdrawal.id) FROM shacache.withdrawal
                        WHERE target = 'blob' AND subject = found.name AND lifted_at IS NULL), true
                FROM unnest(
                    \(names)::text[], \(facts.map { "\($0.size)" })::bigint[], \(facts.map { "\($0.modified)" })::bigint[]
                ) AS found (name, size, modified)
                ON CONFLICT DO NOTHING
                """)
        }
    }

    /// What lies among the withdrawn blobs, and of which the journal knows nothing, stays there.
    private func makeWithdrawals(of names: [String]) throws {
        try connection.run(
            """
            INSERT INTO shacache.withdrawal (id, actor, target, subject, reason) OVERRIDING SYSTEM VALUE
            SELECT coalesce((SELECT max(id) FROM shacache.withdrawal), 0) + row_number() OVER (ORDER BY name),
                'rebuild', 'blob', name, 'its reason was lost with the database'
            FROM unnest(\(names)::text[]) AS found (name)
            WHERE NOT EXISTS (SELECT FROM pg_temp.blob_hiding WHERE blob_hiding.sha512 = decode(name, 'hex'))
                AND NOT EXISTS (SELECT FROM shacache.withdrawal WHERE target = 'blob' AND subject = name)
            """)
    }
}

extension LocalBlobs {
    /// The size with which a file was stored, in bytes, or has now if it doesn't know that; and when it was written to, in
    /// seconds since 1970.
    ///
    /// - Returns: nil when it is no file that could be a blob, or is gone.
    fileprivate func storedFacts(of digest: Digest, on shelf: Shelf) -> (size: Int, modified: Int)? {
        guard
            let file = try? Descriptor(inStore: path(digest, on: shelf), flags: O_RDONLY | O_NONBLOCK, named: "a blob"),
            let status = try? file.status(), status.kind == S_IFREG
        else { return nil }
        return (file.storedSize ?? Int(status.st_size), status.st_mtim.tv_sec)
    }
}
