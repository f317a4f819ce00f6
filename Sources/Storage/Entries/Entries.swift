import Postgres
public import ShaCache

/// The entries under keys.
public struct Entries {
    let session: Session
    /// Whose journal has what is changed.
    let files: LocalBlobs
    let groups: EntryGroups
    var connection: Connection { session.connection }

    /// - Parameter groups: of the process; the entries that several of its threads store at once go in one transaction.
    public init(_ session: Session, in files: LocalBlobs, groups: EntryGroups = EntryGroups()) {
        self.session = session
        self.files = files
        self.groups = groups
    }

    /// Calls `body` with the metadata and the signature of each entry of a key that isn't withdrawn, oldest first.
    ///
    /// - Returns: how many there are, withdrawn ones too.
    public func forEach(
        of key: Key, _ body: (_ metadata: UnsafeRawBufferPointer, _ signature: UnsafeRawBufferPointer) -> Void
    ) throws -> Int {
        let rows = try session.reading {
            try connection.run(
                """
                SELECT CASE WHEN withdrawal_id IS NULL THEN metadata END, signature
                FROM shacache.entry WHERE key = \(key.text) ORDER BY id
                """)
        }
        for row in rows {
            row.withBytes(0) { metadata in
                // NULL, which is read as empty, as no metadata is.
                if !metadata.isEmpty { row.withBytes(1) { signature in body(metadata, signature) } }
            }
        }
        return rows.count
    }

    /// The entries of a key that aren't withdrawn, oldest first, as a GET answers them: a list of pairs in JSON.
    ///
    /// - Returns: nil when nothing was ever listed there.
    public func list(of key: Key) throws -> [UInt8]? {
        var list = PairList()
        let count = try forEach(of: key) { list.append($0, $1) }
        return count > 0 ? list.json : nil
    }

    /// The entries under a key, oldest first, withdrawn ones too.
    public func table(under key: Key) throws -> Table {
        Table(
            try connection.run(
                """
                SELECT entry.id AS number, date_trunc('second', entry.created_at) AS created_at,
                    account.name AS account, signature_result AS signature, signer.name AS signer,
                    entry.withdrawal_id AS withdrawal, software_url, multiarch, encode(sha512, 'hex') AS sha512
                FROM shacache.entry
                JOIN shacache.account ON account.id = entry.account_id
                LEFT JOIN shacache.signer ON signer.id = signer_id
                WHERE key = \(key.text) ORDER BY entry.id
                """))
    }
}

/// Pairs as a GET answers them.
struct PairList {
    private var bytes = Array("[".utf8)

    mutating func append(_ metadata: UnsafeRawBufferPointer, _ signature: UnsafeRawBufferPointer) {
        if bytes.count > 1 { bytes.append(contentsOf: ", ".utf8) }
        bytes.append(UInt8(ascii: "["))
        bytes.appendJSONString(metadata)
        bytes.append(contentsOf: ", ".utf8)
        bytes.appendJSONString(signature)
        bytes.append(UInt8(ascii: "]"))
    }

    /// A list of lists of two strings.
    var json: [UInt8] { bytes + Array("]".utf8) }
}

extension Entries {
    /// Calls `body` with each key that begins with a text, in the order of their bytes; a page at a time.
    public func forEachKey(beginningWith prefix: String, _ body: (Key) throws -> Void) throws {
        var last: String?
        while true {
            let keys = try session.reading {
                try connection.run(
                    """
                    SELECT key FROM shacache.key_count
                    WHERE key >= \(prefix) AND key > coalesce(\(last), '') ORDER BY key LIMIT \(Self.page)
                    """)
            }.map { $0.text(0)! }
            for key in keys {
                guard key.utf8.starts(with: prefix.utf8) else { return }
                try body(try Key(key))
            }
            guard keys.count == Self.page else { return }
            last = keys.last
        }
    }

    private static let page = 1000

    /// The blobs that the visible entries of a key name.
    public func blobs(under key: Key) throws -> [Digest] {
        try session.reading {
            try connection.run(
                "SELECT DISTINCT sha512 FROM shacache.entry WHERE key = \(key.text) AND withdrawal_id IS NULL")
        }.digests
    }
}

extension Entries {
    /// Which keys have visible entries.
    ///
    /// - Parameters:
    ///   - keys: any number; one statement asks for all.
    ///   - includingFetched: also those that an upstream has, as it last said.
    /// - Returns: for each whether it has at least one entry that isn't withdrawn.
    public func areVisible(_ keys: [Key], includingFetched: Bool = false) throws -> [Bool] {
        let texts = keys.map(\.text)
        let rows = try session.reading {
            // Limited to one row, a key costs an index lookup, whatever is listed under it, and no plan reads all
            // entries.
            try session.connection.run(
                """
                SELECT number FROM unnest(\(texts)::text[]) WITH ORDINALITY AS asked (key, number)
                CROSS JOIN LATERAL (
                    SELECT FROM shacache.entry WHERE entry.key = asked.key AND withdrawal_id IS NULL LIMIT 1
                ) AS visible
                \(includingFetched ? Self.orFetched(texts) : "")
                """)
        }
        var areVisible = keys.map { _ in false }
        for row in rows { areVisible[row.int(0)! - 1] = true }
        return areVisible
    }

    private static func orFetched(_ keys: [String]) -> SQL {
        """
        UNION ALL
        SELECT number FROM unnest(\(keys)::text[]) WITH ORDINALITY AS asked (key, number)
        CROSS JOIN LATERAL (
            SELECT FROM shacache.fetched_entry AS fetched
            WHERE fetched.key = asked.key AND NOT EXISTS (
                SELECT FROM shacache.entry AS own
                WHERE own.key = fetched.key AND own.digest = fetched.digest AND own.withdrawal_id IS NOT NULL)
            LIMIT 1
        ) AS fetched
        """
    }
}
