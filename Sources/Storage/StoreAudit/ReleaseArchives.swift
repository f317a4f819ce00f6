import Postgres
public import ShaCache

/// What an entry of the binary cache names: an archive with a directory named like the key.
public struct ReleaseArchive: Sendable {
    public let digest: Digest
    public let key: String
}

/// The check of release archives, each of which is read once.
public struct ReleaseArchives {
    let session: Session

    public init(_ session: Session) { self.session = session }

    /// Those that were not checked yet, the newest first.
    public func unread(limit: Int) throws -> [ReleaseArchive] {
        try session.connection.run(
            """
            SELECT sha512, key FROM shacache.release_archive WHERE checked_at IS NULL
            GROUP BY sha512, key ORDER BY max(entry_id) DESC LIMIT \(limit)
            """
        ).map { ReleaseArchive(digest: $0.digest(0)!, key: $0.text(1)!) }
    }

    /// How many can't be unpacked, and how many were not checked yet.
    public func counts() throws -> (unreadable: Int, unread: Int) {
        let row = try session.connection.run(
            """
            SELECT count(DISTINCT (sha512, key)) FILTER (WHERE problem IS NOT NULL),
                count(DISTINCT (sha512, key)) FILTER (WHERE checked_at IS NULL)
            FROM shacache.release_archive
            """
        ).first!
        return (row.int(0)!, row.int(1)!)
    }

    /// Those that can't be unpacked, in the order of their digests, and why.
    func forEachUnreadable(_ body: (ReleaseArchive, _ problem: String) throws -> Void) throws {
        try session.forEachRow(after: ([UInt8](), "")) { last in
            """
            SELECT DISTINCT sha512, key, problem FROM shacache.release_archive
            WHERE problem IS NOT NULL AND (sha512, key) > (\(last.0), \(last.1)) ORDER BY sha512, key LIMIT \(Self.page)
            """
        } _: { row in
            let archive = ReleaseArchive(digest: row.digest(0)!, key: row.text(1)!)
            try body(archive, row.text(2)!)
            return (archive.digest.bytes, archive.key)
        }
    }

    private static let page = 1000

    /// Records the result of a check. Of two concurrent checks, the first counts.
    ///
    /// - Parameter problem: nil when the archive can be unpacked.
    public func recordCheck(of archive: ReleaseArchive, problem: String?) throws {
        try session.connection.run(
            """
            INSERT INTO shacache.archive_check (sha512, key, problem)
            VALUES (\(archive.digest.bytes), \(archive.key), \(problem)) ON CONFLICT DO NOTHING
            """)
    }
}
