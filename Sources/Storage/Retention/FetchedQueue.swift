import Postgres
import ShaCache

/// The blobs that were fetched, in the order in which they go when there are too many: by when each was last used.
///
/// A blob's place is when it came, or `used_at` behind that. What has used it since, the record of use has; it is asked only
/// when the blob's turn has come, and a blob that was used since goes to the place that it should have. So the order is exact,
/// as far as days are, nothing is written for a download, and a run costs as much as it lets go.
struct FetchedQueue {
    private let session: Session
    private let files: LocalBlobs
    private let cutoff: Cutoff
    private let uses: SQL
    private var connection: Connection { session.connection }

    /// - Parameters:
    ///   - cutoff: what came later stays.
    ///   - now: seconds since 1970.
    init(in session: Session, _ files: LocalBlobs, _ cutoff: Cutoff, now: Int) {
        (self.session, self.files, self.cutoff) = (session, files, cutoff)
        uses = CollectionPlan(session, [], now: now).usesOfBlobs(since: CollectionPlan.always)
    }

    /// Where a page ends.
    private struct Position {
        var place = "-infinity"
        /// The digest, in lowercase hex.
        var name = ""
    }

    private struct Member {
        let digest: Digest
        let size: Int
        let position: Position
    }

    /// Makes `pg_temp.going_blob` of those whose turn it is, until they have so many bytes.
    ///
    /// - Parameter policy: by which they go.
    func letGo(bytes: Int, policy: String) throws {
        try connection.runScript(
            """
            DROP TABLE IF EXISTS pg_temp.going_blob;
            CREATE TEMPORARY TABLE going_blob (
                sha512 bytea PRIMARY KEY, policy text NOT NULL, why text NOT NULL, size bigint NOT NULL)
            """)
        var (left, position) = (bytes, Position())
        while left > 0, case let page = try settledPage(behind: position), let last = page.last {
            var going: [Member] = []
            for member in page where left > 0 && member.size > 0 {
                guard !files.isBeingRead(member.digest) else { continue }
                going.append(member)
                left -= member.size
            }
            let sizes = going.map { String($0.size) }
            try connection.run(
                """
                INSERT INTO pg_temp.going_blob
                SELECT sha512, \(policy), '', size
                FROM unnest(\(going.map(\.digest)), \(sizes)::bigint[]) AS going (sha512, size)
                """)
            position = last.position
        }
    }

    /// The first of the queue behind a position, when all that have another place by now have gone there.
    private func settledPage(behind last: Position) throws -> [Member] {
        while true {
            let rows = try page(behind: last)
            // One that another session has locked stays where it is, and isn't let go.
            guard rows.contains(where: { $0.bool(4) }) else {
                return rows.filter { !$0.bool(3) }.map { row in
                    let digest = row.digest(0)!
                    return Member(
                        digest: digest, size: row.int(1)!,
                        position: Position(place: row.text(2)!, name: digest.description))
                }
            }
        }
    }

    /// - Returns: of each, its digest, size and place, whether that isn't its place any more, and whether it has left it.
    private func page(behind last: Position) throws -> Rows {
        try connection.run(
            """
            WITH page AS MATERIALIZED (
                SELECT blob.*, CASE
                    -- In use as long as these hold it.
                    WHEN \(Pins.holdBlob) OR EXISTS (SELECT FROM shacache.entry WHERE entry.sha512 = blob.sha512) THEN now()
                    WHEN until > (place AT TIME ZONE 'UTC')::date + 1
                    THEN least(until::timestamptz - interval '1 microsecond', now())
                    END AS next
                FROM (
                    SELECT sha512, size, greatest(used_at, last_referenced_at) AS place FROM shacache.blob
                    WHERE account_id IS NULL AND withdrawal_id IS NULL
                        AND (greatest(used_at, last_referenced_at), sha512) > (\(last.place)::timestamptz, decode(\(last.name), 'hex'))
                        AND greatest(used_at, last_referenced_at) <= \(cutoff.sql)
                    ORDER BY greatest(used_at, last_referenced_at), sha512 LIMIT \(CollectionPage<String>.size)
                ) AS blob
                CROSS JOIN LATERAL (
                    SELECT max(until) AS until FROM \(uses) AS used WHERE used.sha512 = blob.sha512
                ) AS used
            ), locked AS MATERIALIZED (
                SELECT sha512 FROM shacache.blob
                WHERE sha512 IN (SELECT sha512 FROM page WHERE next IS NOT NULL)
                ORDER BY sha512 FOR NO KEY UPDATE SKIP LOCKED
            ), moved AS (
                UPDATE shacache.blob SET used_at = page.next
                FROM page JOIN locked ON locked.sha512 = page.sha512
                WHERE blob.sha512 = page.sha512
                RETURNING blob.sha512
            )
            SELECT page.sha512, page.size, page.place::text, page.next IS NOT NULL, moved.sha512 IS NOT NULL
            FROM page LEFT JOIN moved ON moved.sha512 = page.sha512
            ORDER BY page.place, page.sha512
            """)
    }
}
