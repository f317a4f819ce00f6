import Postgres
import ShaCache

/// The record of damaged files.
public struct ScrubFindings {
    let session: Session

    public init(_ session: Session) { self.session = session }

    /// A file of a blob that nobody was promised needs no healing, and its finding is closed at once.
    ///
    /// - Parameter bytes: of the damaged file.
    func record(_ digest: Digest, bytes: Int, problem: String, isQuarantined: Bool, on host: String) throws {
        try session.connection.run(
            """
            INSERT INTO shacache.scrub_finding (sha512, host, bytes, problem, is_quarantined, healed_at, healed_by)
            SELECT \(digest.bytes), \(host), \(bytes), \(problem), \(isQuarantined), CASE WHEN orphan THEN now() END,
                CASE WHEN orphan THEN 'nothing: it was never acknowledged' END
            FROM (SELECT NOT EXISTS (SELECT FROM shacache.blob WHERE sha512 = \(digest.bytes)) AS orphan) AS blob
            ON CONFLICT (sha512) WHERE healed_at IS NULL DO UPDATE
            SET host = excluded.host, bytes = excluded.bytes, problem = excluded.problem,
                is_quarantined = excluded.is_quarantined
            """)
    }

    func isOpen(_ digest: Digest) throws -> Bool {
        try session.connection.run(
            "SELECT FROM shacache.scrub_finding WHERE sha512 = \(digest.bytes) AND healed_at IS NULL"
        ).first != nil
    }

    /// - Parameter healer: what has brought the right bytes.
    func close(_ digest: Digest, by healer: String) throws {
        try session.connection.run(
            """
            UPDATE shacache.scrub_finding SET healed_at = now(), healed_by = \(healer)
            WHERE sha512 = \(digest.bytes) AND healed_at IS NULL
            """)
    }

    /// Findings that are asked for at once.
    private static let page = 10_000

    func forEachOpen(_ body: (Digest) throws -> Void) throws {
        try session.forEachRow(after: 0) { last in
            """
            SELECT id, sha512 FROM shacache.scrub_finding
            WHERE healed_at IS NULL AND id > \(last) ORDER BY id LIMIT \(Self.page)
            """
        } _: { row in
            try body(row.digest(1)!)
            return row.int(0)!
        }
    }

    /// How many damaged blobs still are.
    public func openCount() throws -> Int {
        try session.connection.run("SELECT count(*) FROM shacache.scrub_finding WHERE healed_at IS NULL").first!.int(0)!
    }
}
