import Postgres

/// What the metrics show of the mirrors of an upstream.
public struct MirrorFigures: Sendable {
    public let upstream: String
    /// When the mirror that is behind most had all that its feed had, in seconds since 1970: of those that follow, and of those
    /// that were run once; nil: none has had that yet.
    public let followedUntil: Int?
    public let mirroredUntil: Int?
    /// What failed, and what no upstream has.
    public let failed: Int
    public let absent: Int

    /// Of all upstreams that are mirrored.
    public static func all(asking session: Session) throws -> [MirrorFigures] {
        try session.reading {
            try session.connection.run(
                """
                SELECT name,
                    (SELECT floor(extract(epoch FROM min(nullif(current_at, '-infinity'))))::bigint FROM shacache.mirror
                        WHERE upstream_id = upstream.id AND is_following),
                    (SELECT floor(extract(epoch FROM min(nullif(current_at, '-infinity'))))::bigint FROM shacache.mirror
                        WHERE upstream_id = upstream.id AND NOT is_following),
                    (SELECT count(*) FROM shacache.mirror_item WHERE upstream_id = upstream.id AND NOT is_absent),
                    (SELECT count(*) FROM shacache.mirror_item WHERE upstream_id = upstream.id AND is_absent)
                FROM shacache.upstream
                WHERE EXISTS (SELECT FROM shacache.mirror WHERE upstream_id = upstream.id)
                    OR EXISTS (SELECT FROM shacache.mirror_item WHERE upstream_id = upstream.id)
                ORDER BY name
                """)
        }.map {
            MirrorFigures(
                upstream: $0.text(0)!, followedUntil: $0.int(1), mirroredUntil: $0.int(2), failed: $0.int(3)!,
                absent: $0.int(4)!)
        }
    }
}
