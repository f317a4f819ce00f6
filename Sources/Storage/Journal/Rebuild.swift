import Postgres

/// Makes a database from a store and its journal, which answers every GET as the lost one did.
///
/// Blobs are made from the files: whatever lies where readers look is one. All else comes from the journal. Everything
/// happens in one transaction: a rebuild that was stopped has done nothing.
///
/// The journal is read twice, since an entry that was removed made room for another of the same pair. PostgreSQL puts the
/// records in order, so that little memory is needed for any number of them.
public struct Rebuild {
    let files: LocalBlobs
    private let session: Session
    var connection: Connection { session.connection }
    /// Is told of each file of the journal before it is read.
    private let progress: (String) -> Void

    /// - Parameter session: as the owner of the schema.
    public init(of files: LocalBlobs, _ session: Session, progress: @escaping (String) -> Void = { _ in }) {
        self.files = files
        self.session = session
        self.progress = progress
    }

    /// - Throws: `RebuildError`; `StoreError` or `DatabaseError`.
    public func run(by actor: String) throws -> RebuildSummary {
        let names = try Journal.fileNames(in: files)
        guard !names.isEmpty else { throw RebuildError.noJournal }
        let summary = try connection.transaction {
            try requireEmpty()
            try connection.runScript(Self.tables)
            var summary = RebuildSummary(damaged: try readAllButEntries(of: names))
            try makeAccountsAndWithdrawals()
            try readEntries(of: names)
            try connection.runScript(Self.entriesAtLast)
            try makeBlobs()
            try connection.runScript(Self.sums)
            try summary.count(connection)
            try session.audit.append("rebuild", of: "database", by: actor, detail: summary.detail)
            return summary
        }
        // Its plans would be those for empty tables.
        try connection.runScript("ANALYZE")
        return summary
    }

    /// And lets nobody fill it meanwhile.
    private func requireEmpty() throws {
        for table in ["account", "signer", "withdrawal", "blob", "entry"] {
            try connection.runScript("LOCK TABLE shacache.\(table) IN EXCLUSIVE MODE")
            guard try connection.run("SELECT FROM shacache.\(SQL(stringLiteral: table)) LIMIT 1").first == nil else {
                throw RebuildError.notEmpty(table)
            }
        }
    }

    // MARK: The journal

    private func readAllButEntries(of names: [String]) throws -> [RebuildSummary.DamagedFile] {
        var damaged: [RebuildSummary.DamagedFile] = []
        var page = RecordPage { kinds, values in
            try connection.run(
                """
                INSERT INTO pg_temp.record (kind, body)
                SELECT kind, body::json FROM ROWS FROM (
                    string_to_table(\(kinds), E'\\n'), string_to_table(\(values), E'\\n')) AS record (kind, body)
                """)
        }
        for name in names {
            progress(name)
            let damage = try JournalReader.read("\(files.journalDirectory)/\(name)") { kind, value in
                if kind != .entry { try page.add(kind, value) }
            }
            if damage != JournalReader.Damage() {
                damaged.append(RebuildSummary.DamagedFile(name: name, places: damage.places, isTorn: damage.isTorn))
            }
        }
        try page.send()
        return damaged
    }

    private func readEntries(of names: [String]) throws {
        var page = RecordPage { _, values in try connection.run(Self.insertion(of: values)) }
        for name in names {
            progress(name)
            _ = try JournalReader.read("\(files.journalDirectory)/\(name)") { kind, value in
                if kind == .entry { try page.add(kind, value) }
            }
        }
        try page.send()
    }

    private func makeAccountsAndWithdrawals() throws {
        try connection.runScript(Self.accountsAndWithdrawals)
    }
}

/// Values that go to the server together.
private struct RecordPage {
    private var kinds: [UInt8] = []
    private var values: [UInt8] = []
    private let body: (_ kinds: String, _ values: String) throws -> Void

    /// In bytes.
    private static let size = 1 << 20

    /// - Parameter body: sends them, each on a line: JSON has no raw newline in it.
    init(_ body: @escaping (_ kinds: String, _ values: String) throws -> Void) { self.body = body }

    mutating func add(_ kind: JournalKind, _ value: ArraySlice<UInt8>) throws {
        if !values.isEmpty {
            kinds.append(UInt8(ascii: "\n"))
            values.append(UInt8(ascii: "\n"))
        }
        kinds.append(contentsOf: kind.rawValue.utf8)
        values.append(contentsOf: value)
        if values.count >= Self.size { try send() }
    }

    mutating func send() throws {
        guard !values.isEmpty else { return }
        try body(String(decoding: kinds, as: UTF8.self), String(decoding: values, as: UTF8.self))
        kinds.removeAll(keepingCapacity: true)
        values.removeAll(keepingCapacity: true)
    }
}

/// Why no database was made.
public enum RebuildError: Error, CustomStringConvertible {
    case notEmpty(_ table: String)
    case noJournal

    public var description: String {
        switch self {
        case .notEmpty(let table):
            """
            the database isn't empty: shacache.\(table) has rows
            hint: rebuild fills a new database, which `shacache-admin migrate` has made, and nothing else
            """
        case .noJournal: "the store has no journal"
        }
    }
}

// MARK: What is made of the records

extension Rebuild {
    private static let tables = """
        CREATE TEMPORARY TABLE record (kind text NOT NULL, body json NOT NULL) ON COMMIT DROP;
        -- Entries with a number that another one has: of a database that was set back to an earlier state.
        CREATE TEMPORARY TABLE conflict (LIKE shacache.entry) ON COMMIT DROP;
        """

    private static let accountsAndWithdrawals = """
        INSERT INTO shacache.account (id, name, comment, created_at, disabled_at) OVERRIDING SYSTEM VALUE
        SELECT DISTINCT ON (id) id, name, comment, created_at, now()
        FROM pg_temp.record CROSS JOIN LATERAL json_populate_record(NULL::shacache.account, body) AS known
        WHERE kind = 'account' ORDER BY id
        ON CONFLICT DO NOTHING;

        INSERT INTO shacache.signer (id, name, public_key, certificate, created_at, revoked_at, revoked_since)
        OVERRIDING SYSTEM VALUE
        SELECT id, (array_agg(name))[1], (array_agg(public_key))[1], (array_agg(certificate))[1], min(created_at),
            min(revoked_at), min(revoked_since)
        FROM pg_temp.record CROSS JOIN LATERAL json_populate_record(NULL::shacache.signer, body) AS known
        WHERE kind = 'signer' GROUP BY id ORDER BY id
        ON CONFLICT DO NOTHING;

        CREATE TEMPORARY TABLE withdrawal ON COMMIT DROP AS
        SELECT known.* FROM pg_temp.record
        CROSS JOIN LATERAL json_populate_record(NULL::shacache.withdrawal, body) AS known
        WHERE kind = 'withdrawal';
        CREATE TEMPORARY TABLE hiding ON COMMIT DROP AS
        SELECT kind, (body->>'withdrawal')::bigint AS withdrawal_id, named.value::bigint AS entry_id
        FROM pg_temp.record CROSS JOIN LATERAL json_array_elements_text(body->'entries') AS named (value)
        WHERE kind IN ('hidden', 'shown') AND body->'entries' IS NOT NULL;
        CREATE TEMPORARY TABLE blob_hiding ON COMMIT DROP AS
        SELECT kind, (body->>'withdrawal')::bigint AS withdrawal_id, CASE kind
            WHEN 'hidden' THEN (body->'blob'->>'sha512')::bytea ELSE decode(body->>'blob', 'hex') END AS sha512,
            CASE kind WHEN 'hidden' THEN body->'blob' END AS body
        FROM pg_temp.record WHERE kind IN ('hidden', 'shown') AND body->'blob' IS NOT NULL;
        CREATE TEMPORARY TABLE removed ON COMMIT DROP AS
        SELECT DISTINCT named.value::bigint AS entry_id
        FROM pg_temp.record CROSS JOIN LATERAL json_array_elements_text(body->'entries') AS named (value)
        WHERE kind = 'removed';
        CREATE UNIQUE INDEX ON pg_temp.removed (entry_id);
        ANALYZE pg_temp.hiding, pg_temp.blob_hiding, pg_temp.removed;

        -- Those whose own records are damaged.
        INSERT INTO shacache.account (id, name, comment, disabled_at) OVERRIDING SYSTEM VALUE
        SELECT DISTINCT named.id, 'unknown-' || named.id, 'Its name was lost with the database', now()
        FROM (
            SELECT account_id FROM pg_temp.withdrawal
            UNION ALL
            SELECT (body->>'account_id')::bigint FROM pg_temp.blob_hiding
        ) AS named (id)
        WHERE named.id IS NOT NULL
        ON CONFLICT DO NOTHING;

        INSERT INTO shacache.withdrawal (
            id, at, actor, account_id, target, subject, reason, is_operators, lifted_at, lifted_by, is_retention, policy,
            removed_at)
        OVERRIDING SYSTEM VALUE
        SELECT DISTINCT ON (id) id, at, actor, account_id, target, subject, reason, is_operators, lifted_at, lifted_by,
            coalesce(is_retention, false), policy, removed_at
        FROM pg_temp.withdrawal ORDER BY id, lifted_at, removed_at, at DESC;
        INSERT INTO shacache.withdrawal (id, actor, target, reason) OVERRIDING SYSTEM VALUE
        SELECT withdrawal_id, 'rebuild', min(target), 'its reason was lost with the database'
        FROM (
            SELECT withdrawal_id, 'entries' AS target FROM pg_temp.hiding
            UNION ALL
            SELECT withdrawal_id, 'blob' FROM pg_temp.blob_hiding
        ) AS named
        GROUP BY withdrawal_id
        ON CONFLICT DO NOTHING;
        """

    /// A page of entries.
    private static func insertion(of values: String) -> SQL {
        """
        WITH line AS MATERIALIZED (
            SELECT DISTINCT ON (known.id, known.key, known.digest) known.*
            FROM string_to_table(\(values), E'\\n') AS line (body)
            CROSS JOIN LATERAL json_populate_record(NULL::shacache.entry, body::json) AS known
            WHERE NOT EXISTS (SELECT FROM pg_temp.removed WHERE entry_id = known.id)
            ORDER BY known.id, known.key, known.digest, known.is_shared DESC
        ), added AS (
            INSERT INTO shacache.entry (\(entryColumns), renewed_at) OVERRIDING SYSTEM VALUE
            SELECT \(entryColumns), now() FROM line ORDER BY id ON CONFLICT DO NOTHING
            RETURNING id, key, digest
        ), shared AS (
            UPDATE shacache.entry SET is_shared = true
            FROM line
            WHERE entry.id = line.id AND entry.key = line.key AND entry.digest = line.digest AND line.is_shared
                AND NOT entry.is_shared
        )
        INSERT INTO pg_temp.conflict
        SELECT line.* FROM line
        WHERE NOT EXISTS (
                SELECT FROM added WHERE added.id = line.id AND added.key = line.key AND added.digest = line.digest)
            AND NOT EXISTS (
                SELECT FROM shacache.entry AS present WHERE present.key = line.key AND present.digest = line.digest)
        """
    }

    /// What never changes, and `is_shared`.
    private static let entryColumns: SQL = """
        id, key, metadata, signature, digest, sha512, account_id, certificate, signature_result, signer_id, created_at,
        software_url, multiarch, os, is_shared
        """

    private static let entriesAtLast = """
        INSERT INTO shacache.entry (
            id, key, metadata, signature, digest, sha512, account_id, certificate, signature_result, signer_id, created_at,
            software_url, multiarch, os, is_shared, renewed_at) OVERRIDING SYSTEM VALUE
        SELECT coalesce((SELECT max(id) FROM shacache.entry), 0) + row_number() OVER (ORDER BY created_at, id), key,
            metadata, signature, digest, sha512, account_id, certificate, signature_result, signer_id, created_at,
            software_url, multiarch, os, is_shared, now()
        FROM (SELECT DISTINCT ON (key, digest) * FROM pg_temp.conflict ORDER BY key, digest, created_at, id) AS late
        ON CONFLICT DO NOTHING;

        -- Of several withdrawals the last one decides: each was numbered behind a lock on what it hides. What a retention
        -- policy hid is visible, and as if it were put now: it may have been put again, or restored, since, and the next
        -- collection hides it again where it is still to go.
        UPDATE shacache.entry SET withdrawal_id = last.withdrawal_id
        FROM (
            SELECT DISTINCT ON (entry_id) entry_id, withdrawal_id FROM pg_temp.hiding WHERE kind = 'hidden'
            ORDER BY entry_id, withdrawal_id DESC
        ) AS last
        JOIN shacache.withdrawal ON withdrawal.id = last.withdrawal_id AND lifted_at IS NULL AND NOT is_retention
        WHERE entry.id = last.entry_id AND NOT EXISTS (
            SELECT FROM pg_temp.hiding AS shown
            WHERE shown.kind = 'shown' AND shown.entry_id = last.entry_id AND shown.withdrawal_id = last.withdrawal_id);

        INSERT INTO shacache.account (id, name, comment, disabled_at) OVERRIDING SYSTEM VALUE
        SELECT DISTINCT account_id, 'unknown-' || account_id, 'Its name was lost with the database', now()
        FROM shacache.entry
        ON CONFLICT DO NOTHING;

        INSERT INTO shacache.upstream (id, name) OVERRIDING SYSTEM VALUE
        SELECT DISTINCT id, 'unknown-' || id
        FROM pg_temp.blob_hiding CROSS JOIN LATERAL (SELECT (body->>'upstream_id')::bigint AS id) AS known
        WHERE id IS NOT NULL
        ON CONFLICT DO NOTHING;

        -- Withdrawn blobs block their names, whether or not they have a file.
        INSERT INTO shacache.blob (
            sha512, size, account_id, upstream_id, created_at, last_referenced_at, withdrawal_id, is_shared)
        SELECT last.sha512, known.size, known.account_id, known.upstream_id, known.created_at, now(), last.withdrawal_id,
            true
        FROM (
            SELECT DISTINCT ON (sha512) sha512, withdrawal_id, body FROM pg_temp.blob_hiding WHERE kind = 'hidden'
            ORDER BY sha512, withdrawal_id DESC
        ) AS last
        JOIN shacache.withdrawal ON withdrawal.id = last.withdrawal_id AND lifted_at IS NULL
        CROSS JOIN LATERAL json_populate_record(NULL::shacache.blob, last.body) AS known
        WHERE NOT EXISTS (
            SELECT FROM pg_temp.blob_hiding AS shown
            WHERE shown.kind = 'shown' AND shown.sha512 = last.sha512 AND shown.withdrawal_id = last.withdrawal_id);
        """

    private static let sums = """
        INSERT INTO shacache.key_count (key, entries, last_at)
        SELECT key, count(*), max(created_at) FROM shacache.entry GROUP BY key;
        INSERT INTO shacache.entry_before_blob (created_at, entry_id)
        SELECT created_at, id FROM shacache.entry
        WHERE NOT EXISTS (SELECT FROM shacache.blob WHERE blob.sha512 = entry.sha512);
        INSERT INTO shacache.account_usage (account_id, shard, blobs, bytes)
        SELECT account_id, 0, count(*), sum(size) FROM shacache.blob WHERE account_id IS NOT NULL GROUP BY account_id;

        -- Its feed begins anew, without what is hidden.
        DELETE FROM shacache.visibility_change;

        -- No number is given again, not even that of what was removed.
        SELECT setval(pg_get_serial_sequence('shacache.' || name, 'id'), last) FROM (VALUES
            ('account', (SELECT max(id) FROM shacache.account)),
            ('signer', (SELECT max(id) FROM shacache.signer)),
            ('upstream', (SELECT max(id) FROM shacache.upstream)),
            ('withdrawal', (SELECT max(id) FROM shacache.withdrawal)),
            ('entry', (SELECT greatest(max(id), (SELECT max(entry_id) FROM pg_temp.removed)) FROM shacache.entry))
        ) AS numbers (name, last) WHERE last IS NOT NULL;
        """
}
