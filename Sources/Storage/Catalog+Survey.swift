import Postgres
import ShaCache

/// What the catalog says of a blob that should lie in the store.
struct CataloguedBlob {
    let digest: Digest
    let size: Int
    let isWithdrawn: Bool
    /// A visible entry names it.
    let isReferenced: Bool

    init(_ row: Rows.Row) {
        digest = Digest(bytes: row.bytes(0)!)
        size = row.int(1)!
        isWithdrawn = row.bool(2)
        isReferenced = row.bool(3)
    }
}

extension Catalog {
    /// Compares the store with this catalog, and writes down what was found.
    ///
    /// - Parameter host: whose store it is.
    public func survey(_ store: BlobStore, host: String) throws -> Survey {
        var surveyor = Surveyor(store: store, catalog: self)
        let survey = try surveyor.run()
        try record(survey, free: try store.free(), host: host)
        return survey
    }

    /// Rows that are fetched at once: a shelf may have many.
    private static let page = 10_000

    /// Those whose digest begins with this byte, in the order of their digests.
    func forEachBlob(on shelf: UInt8, _ body: (CataloguedBlob) throws -> Void) throws {
        // Digests have 64 bytes: all of a shelf come after its one byte.
        let end = shelf == .max ? [UInt8](repeating: .max, count: 65) : [shelf + 1]
        try forEachPage(after: [shelf]) { last in
            try connection.run(
                """
                SELECT sha512, size, withdrawal_id IS NOT NULL, EXISTS (
                    SELECT FROM shacache.entry WHERE entry.sha512 = blob.sha512 AND entry.withdrawal_id IS NULL)
                FROM shacache.blob
                WHERE sha512 > \(last) AND sha512 < \(end) ORDER BY sha512 LIMIT \(Self.page)
                """)
        } body: {
            try body($0)
        }
    }

    func forEachWithdrawnBlob(_ body: (CataloguedBlob) throws -> Void) throws {
        try forEachPage(after: []) { last in
            try connection.run(
                """
                SELECT sha512, size, true, false FROM shacache.blob
                WHERE withdrawal_id IS NOT NULL AND sha512 > \(last) ORDER BY sha512 LIMIT \(Self.page)
                """)
        } body: {
            try body($0)
        }
    }

    private func forEachPage(
        after start: [UInt8], _ rows: ([UInt8]) throws -> Rows, body: (CataloguedBlob) throws -> Void
    ) throws {
        var last: [UInt8]? = start
        while let previous = last {
            last = nil
            for row in try rows(previous) {
                let blob = CataloguedBlob(row)
                try body(blob)
                last = blob.digest.bytes
            }
        }
    }

    /// nil when there is no such blob.
    func isWithdrawn(_ digest: Digest) throws -> Bool? {
        try connection.run("SELECT withdrawal_id IS NOT NULL FROM shacache.blob WHERE sha512 = \(digest.bytes)")
            .first?.bool(0)
    }

    private func record(_ survey: Survey, free: BlobStore.Free, host: String) throws {
        try connection.transaction {
            let id = try connection.run(
                """
                INSERT INTO shacache.survey (
                    started_at, host, filesystem_bytes, free_bytes, filesystem_inodes, free_inodes)
                VALUES (
                    to_timestamp(\(survey.start)), \(host), \(free.totalBytes), \(free.bytes), \(free.totalInodes),
                    \(free.inodes))
                RETURNING id
                """
            ).first!.int(0)
            for kind in Survey.Kind.allCases {
                let sum = survey.sums[kind] ?? Survey.Sum()
                try connection.run(
                    """
                    INSERT INTO shacache.survey_sum (survey_id, kind, files, bytes, allocated)
                    VALUES (\(id), \(kind.rawValue), \(sum.files), \(sum.bytes), \(sum.allocated))
                    """)
            }
            for finding in survey.findings {
                try connection.run(
                    """
                    INSERT INTO shacache.survey_finding (survey_id, kind, name, bytes, detail)
                    VALUES (\(id), \(finding.kind.rawValue), \(finding.name), \(finding.bytes), \(finding.detail))
                    """)
            }
        }
    }
}
