import Postgres
public import ShaCache

/// What the page looks up.
extension Catalog {
    private static let listed: SQL = """
        SELECT id, key, entry.sha512, entry.account, signature_result, signer,
            extract(epoch FROM signer_revoked_at)::bigint, extract(epoch FROM entry.created_at)::bigint,
            software_url, multiarch, array_to_string(os, ' '), entry.is_hidden,
            extract(epoch FROM entry.withdrawn_at)::bigint, entry.withdrawn_by, entry.withdrawn_because,
            CASE WHEN NOT blob.is_hidden THEN size END, coalesce(blob.is_hidden, false)
        FROM page.entry AS entry LEFT JOIN page.blob AS blob ON blob.sha512 = entry.sha512
        """

    /// - Parameter includingHidden: for operators, who see what was withdrawn.
    public func listedEntry(_ id: Int, includingHidden: Bool) throws -> ListedEntry? {
        try reading {
            try connection.run(
                "\(Self.listed) WHERE id = \(id) AND (\(includingHidden) OR NOT entry.is_hidden)")
        }.first.map { ListedEntry($0) }
    }

    /// Those under a key, oldest first.
    public func listedEntries(of key: String, includingHidden: Bool, offset: Int, limit: Int) throws -> [ListedEntry] {
        try reading {
            try connection.run(
                """
                \(Self.listed) WHERE key = \(key) AND (\(includingHidden) OR NOT entry.is_hidden)
                ORDER BY id OFFSET \(offset) LIMIT \(limit)
                """)
        }.map { ListedEntry($0) }
    }

    /// Those that name a blob, oldest first.
    ///
    /// Very many may name the same one, so they are chosen first, in the order of the index, and the rest is looked up for
    /// those alone. BETWEEN, because by an equality the planner leaves the hash out of the order, and may then walk through
    /// the ids of all entries; an array, because it may join a list to all of them.
    public func listedEntries(naming digest: Digest, includingHidden: Bool, limit: Int) throws -> [ListedEntry] {
        try reading {
            try connection.run(
                """
                \(Self.listed) WHERE id = ANY (ARRAY(
                    SELECT id FROM page.entry
                    WHERE sha512 BETWEEN \(digest.bytes) AND \(digest.bytes) AND (\(includingHidden) OR NOT is_hidden)
                    ORDER BY sha512, id LIMIT \(limit)
                ))
                ORDER BY id
                """)
        }.map { ListedEntry($0) }
    }

    /// The metadata of an entry, from its beginning.
    ///
    /// - Parameter limit: in characters.
    /// - Returns: what of it was asked for, and how many bytes it has in all.
    public func metadata(ofEntry id: Int, limit: Int) throws -> (beginning: String, bytes: Int)? {
        try reading {
            try connection.run(
                "SELECT left(metadata, \(limit)), octet_length(metadata) FROM page.entry WHERE id = \(id)")
        }.first.map { ($0.text(0)!, $0.int(1)!) }
    }

    /// How many entries stand under a key.
    public func countEntries(of key: String, includingHidden: Bool) throws -> Int {
        try reading {
            try connection.run(
                """
                SELECT count(*) FROM page.entry WHERE key = \(key) AND (\(includingHidden) OR NOT is_hidden)
                """)
        }.first!.int(0)!
    }

    /// Keys that begin with a text, in their order; but for those with a password in them, which would be guessed letter by
    /// letter.
    public func keys(beginningWith prefix: String, includingHidden: Bool, limit: Int) throws -> [ListedKey] {
        // All that begins with it stands in the index before what has the last code point behind it.
        try reading {
            try connection.run(
                """
                SELECT key, count(*) FROM page.entry
                WHERE key >= \(prefix) AND key < \(prefix) || chr(1114111) AND (\(includingHidden) OR NOT is_hidden)
                    AND shacache.without_credentials(key) = key
                GROUP BY key ORDER BY key LIMIT \(limit)
                """)
        }.map { ListedKey(text: $0.text(0)!, entries: $0.int(1)!) }
    }

    /// Blobs whose name lies between two, both included.
    public func blobs(
        from first: Digest, to last: Digest, includingHidden: Bool, limit: Int
    ) throws -> [ListedBlob] {
        try reading {
            try connection.run(
                """
                SELECT sha512, size, account, extract(epoch FROM created_at)::bigint,
                    extract(epoch FROM last_referenced_at)::bigint, is_hidden,
                    extract(epoch FROM withdrawn_at)::bigint, withdrawn_by, withdrawn_because
                FROM page.blob
                WHERE sha512 BETWEEN \(first.bytes) AND \(last.bytes) AND (\(includingHidden) OR NOT is_hidden)
                ORDER BY sha512 LIMIT \(limit)
                """)
        }.map { row in
            ListedBlob(
                sha512: Digest(bytes: row.bytes(0)!), size: row.int(1)!, account: row.text(2)!,
                createdAt: row.int(3)!, lastReferencedAt: row.int(4)!, isHidden: row.bool(5),
                withdrawal: Withdrawn(row, from: 6))
        }
    }

    public func downloads(ofBlob digest: Digest) throws -> Downloads? {
        try reading {
            try connection.run(
                "SELECT whole + partial, whole, bytes FROM page.download WHERE sha512 = \(digest.bytes)")
        }.first.map { Downloads(requests: $0.int(0)!, whole: $0.int(1)!, bytes: $0.int(2)!) }
    }
}

extension ListedEntry {
    /// - Parameter row: its columns as `Catalog.listed` has them.
    fileprivate init(_ row: Rows.Row) {
        self.init(
            id: row.int(0)!, key: row.text(1)!, sha512: Digest(bytes: row.bytes(2)!), account: row.text(3)!,
            signatureResult: row.text(4)!, signer: row.text(5), signerRevokedAt: row.int(6), createdAt: row.int(7)!,
            softwareURL: row.text(8), multiarch: row.text(9), os: row.text(10), isHidden: row.bool(11),
            withdrawal: Withdrawn(row, from: 12), blobSize: row.int(15), isBlobHidden: row.bool(16))
    }
}

extension Withdrawn {
    /// - Parameter column: of three, the first.
    fileprivate init?(_ row: Rows.Row, from column: Int) {
        guard let at = row.int(column) else { return nil }
        self.init(at: at, by: row.text(column + 1)!, reason: row.text(column + 2)!)
    }
}
