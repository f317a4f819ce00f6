import Postgres
public import ShaCache

/// The read-only lookups behind the pages.
///
/// `includingHidden` is for operators: withdrawn entries and blobs as well.
public struct Browsing {
    let session: Session

    public init(_ session: Session) { self.session = session }

    private static let entryColumns: SQL = """
        SELECT id, key, entry.sha512, entry.account, signature_result, signer,
            extract(epoch FROM signer_revoked_at)::bigint, extract(epoch FROM entry.created_at)::bigint,
            software_url, multiarch, array_to_string(os, ' '), entry.is_hidden,
            extract(epoch FROM entry.withdrawn_at)::bigint, entry.withdrawn_by, entry.withdrawn_because,
            CASE WHEN NOT blob.is_hidden THEN size END, coalesce(blob.is_hidden, false)
        FROM page.entry AS entry LEFT JOIN page.blob AS blob ON blob.sha512 = entry.sha512
        """

    public func entry(_ id: Int, includingHidden: Bool) throws -> EntrySummary? {
        try session.reading {
            try session.connection.run(
                "\(Self.entryColumns) WHERE id = \(id) AND (\(includingHidden) OR NOT entry.is_hidden)")
        }.first.map { EntrySummary($0) }
    }

    /// The entries under a key, oldest first.
    public func entries(under key: String, includingHidden: Bool, offset: Int, limit: Int) throws -> [EntrySummary] {
        try session.reading {
            try session.connection.run(
                """
                \(Self.entryColumns) WHERE key = \(key) AND (\(includingHidden) OR NOT entry.is_hidden)
                ORDER BY id OFFSET \(offset) LIMIT \(limit)
                """)
        }.map { EntrySummary($0) }
    }

    /// The entries that name a blob, oldest first.
    ///
    /// Very many may name the same blob, so the first are chosen by the index alone, and joined afterwards. BETWEEN,
    /// because with an equality the planner drops the hash from the order, and may then scan the ids of all entries; an
    /// array, because it may join a subquery to all of them.
    public func entriesNaming(_ digest: Digest, includingHidden: Bool, limit: Int) throws -> [EntrySummary] {
        try session.reading {
            try session.connection.run(
                """
                \(Self.entryColumns) WHERE id = ANY (ARRAY(
                    SELECT id FROM page.entry
                    WHERE sha512 BETWEEN \(digest.bytes) AND \(digest.bytes) AND (\(includingHidden) OR NOT is_hidden)
                    ORDER BY sha512, id LIMIT \(limit)
                ))
                ORDER BY id
                """)
        }.map { EntrySummary($0) }
    }

    /// For operators.
    public func removal(ofBlob digest: Digest) throws -> RemovalSummary? {
        try session.reading {
            try session.connection.run(
                """
                SELECT size, extract(epoch FROM removed_at)::bigint, policy FROM page.trash
                WHERE sha512 = \(digest.bytes)
                """)
        }.first.map { RemovalSummary(size: $0.int(0)!, at: $0.int(1)!, policy: $0.text(2)!) }
    }

    /// The metadata of an entry, from its beginning.
    ///
    /// - Parameter limit: in characters.
    /// - Returns: the beginning, and the size of the whole in bytes.
    public func metadata(ofEntry id: Int, limit: Int) throws -> (beginning: String, bytes: Int)? {
        try session.reading {
            try session.connection.run(
                "SELECT left(metadata, \(limit)), octet_length(metadata) FROM page.entry WHERE id = \(id)")
        }.first.map { ($0.text(0)!, $0.int(1)!) }
    }

    public func countEntries(under key: String, includingHidden: Bool) throws -> Int {
        try session.reading {
            try session.connection.run(
                """
                SELECT count(*) FROM page.entry WHERE key = \(key) AND (\(includingHidden) OR NOT is_hidden)
                """)
        }.first!.int(0)!
    }

    /// Keys that begin with a text, in their order. Keys with credentials are left out: else a visitor could guess a
    /// password letter by letter.
    public func keys(beginningWith prefix: String, includingHidden: Bool, limit: Int) throws -> [KeySummary] {
        // A range of the index: up to the prefix followed by the last code point.
        try session.reading {
            try session.connection.run(
                """
                SELECT key, count(*) FROM page.entry
                WHERE key >= \(prefix) AND key < \(prefix) || chr(1114111) AND (\(includingHidden) OR NOT is_hidden)
                    AND shacache.without_credentials(key) = key
                GROUP BY key ORDER BY key LIMIT \(limit)
                """)
        }.map { KeySummary(text: $0.text(0)!, entries: $0.int(1)!) }
    }

    /// The blobs between two digests, both included.
    public func blobs(
        from first: Digest, to last: Digest, includingHidden: Bool, limit: Int
    ) throws -> [BlobSummary] {
        try session.reading {
            try session.connection.run(
                """
                SELECT sha512, size, account, extract(epoch FROM created_at)::bigint,
                    extract(epoch FROM last_referenced_at)::bigint, is_hidden,
                    extract(epoch FROM withdrawn_at)::bigint, withdrawn_by, withdrawn_because, upstream
                FROM page.blob
                WHERE sha512 BETWEEN \(first.bytes) AND \(last.bytes) AND (\(includingHidden) OR NOT is_hidden)
                ORDER BY sha512 LIMIT \(limit)
                """)
        }.map { BlobSummary($0) }
    }

    /// nil when none was counted.
    public func downloads(ofBlob digest: Digest) throws -> DownloadTotals? {
        try session.reading {
            try session.connection.run(
                "SELECT whole + partial, whole, bytes FROM page.download WHERE sha512 = \(digest.bytes)")
        }.first.map { DownloadTotals(requests: $0.int(0)!, whole: $0.int(1)!, bytes: $0.int(2)!) }
    }
}
