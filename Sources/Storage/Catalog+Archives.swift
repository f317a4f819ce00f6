import Postgres
public import ShaCache

/// What an entry of the binary cache promises: an archive with a directory of the key's name.
public struct ReleaseArchive: Sendable {
    public let digest: Digest
    public let key: String
}

extension Catalog {
    /// Those that nobody has read yet, the newest first.
    public func unreadArchives(limit: Int) throws -> [ReleaseArchive] {
        try connection.run(
            """
            SELECT sha512, key FROM shacache.release_archive WHERE checked_at IS NULL
            GROUP BY sha512, key ORDER BY max(entry_id) DESC LIMIT \(limit)
            """
        ).map { ReleaseArchive(digest: Digest(bytes: $0.bytes(0)!), key: $0.text(1)!) }
    }

    /// How many can't be read, and how many nobody has read yet.
    public func countArchives() throws -> (unreadable: Int, unread: Int) {
        let row = try connection.run(
            """
            SELECT count(DISTINCT (sha512, key)) FILTER (WHERE problem IS NOT NULL),
                count(DISTINCT (sha512, key)) FILTER (WHERE checked_at IS NULL)
            FROM shacache.release_archive
            """
        ).first!
        return (row.int(0)!, row.int(1)!)
    }

    /// Writes down what was found, so that it is looked for once. Of two surveys at a time, the first says it.
    ///
    /// - Parameter problem: nil: there is none.
    public func record(_ archive: ReleaseArchive, problem: String?) throws {
        try connection.run(
            """
            INSERT INTO shacache.archive_check (sha512, key, problem)
            VALUES (\(archive.digest.bytes), \(archive.key), \(problem)) ON CONFLICT DO NOTHING
            """)
    }
}
