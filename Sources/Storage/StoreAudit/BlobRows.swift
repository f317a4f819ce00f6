import Postgres
import ShaCache

/// What the database has of a blob, to compare its file with.
struct BlobRow {
    let digest: Digest
    let size: Int
    let isWithdrawn: Bool
    /// Whether a visible entry names it.
    let isReferenced: Bool

    init(_ row: ResultRow) {
        digest = row.digest(0)!
        size = row.int(1)!
        isWithdrawn = row.bool(2)
        isReferenced = row.bool(3)
    }
}

/// The rows of blobs, in the order of their digests and a page at a time.
struct BlobRows {
    let session: Session

    /// Rows that are fetched at once: a shelf may have very many.
    private static let page = 10_000

    /// The blobs whose digests begin with this byte, in the order of their digests.
    func forEachBlob(on shelf: UInt8, _ body: (BlobRow) throws -> Void) throws {
        // Digests have 64 bytes, so all of a shelf compare greater than its single byte.
        let end = shelf == .max ? [UInt8](repeating: .max, count: 65) : [shelf + 1]
        try forEachBlob(after: [shelf], body) { last in
            """
            SELECT sha512, size, withdrawal_id IS NOT NULL, EXISTS (
                SELECT FROM shacache.entry WHERE entry.sha512 = blob.sha512 AND entry.withdrawal_id IS NULL)
            FROM shacache.blob
            WHERE sha512 > \(last) AND sha512 < \(end) ORDER BY sha512 LIMIT \(Self.page)
            """
        }
    }

    func forEachWithdrawnBlob(_ body: (BlobRow) throws -> Void) throws {
        try forEachBlob(after: [], body) { last in
            """
            SELECT sha512, size, true, false FROM shacache.blob
            WHERE withdrawal_id IS NOT NULL AND sha512 > \(last) ORDER BY sha512 LIMIT \(Self.page)
            """
        }
    }

    /// Those that a collection removed: the rows of trash.
    func forEachRemovedBlob(_ body: (BlobRow) throws -> Void) throws {
        try forEachBlob(after: [], body) { last in
            """
            SELECT sha512, size, false, false FROM shacache.trash
            WHERE sha512 > \(last) ORDER BY sha512 LIMIT \(Self.page)
            """
        }
    }

    private func forEachBlob(after start: [UInt8], _ body: (BlobRow) throws -> Void, page: ([UInt8]) -> SQL) throws {
        try session.forEachRow(after: start, page: page) { row in
            let blob = BlobRow(row)
            try body(blob)
            return blob.digest.bytes
        }
    }

    /// nil when there is no such blob.
    func isWithdrawn(_ digest: Digest) throws -> Bool? {
        try session.connection.run("SELECT withdrawal_id IS NOT NULL FROM shacache.blob WHERE sha512 = \(digest.bytes)")
            .first?.bool(0)
    }
}
