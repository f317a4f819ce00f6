import Postgres

/// What was accepted, hidden and shown again, in the order of its numbers: for those who keep a copy. `sql/functions/feed.sql`
/// has the statement, and why no reader misses a number.
public struct Feed {
    let session: Session
    private var connection: Connection { session.connection }

    public init(_ session: Session) { self.session = session }

    /// - Parameters:
    ///   - number: the last one that the reader has; 0: from the first on.
    ///   - most: items, `itemLimit` at most.
    /// - Throws: `DatabaseError`; `NotOnStandby`.
    public func page(after number: Int, most: Int) throws -> FeedPage {
        try session.reading {
            // Before the items: of a database that is set back in between, they are thrown away.
            let name = try numbering()
            let items = try connection.run(
                "SELECT item FROM shacache.feed(\(number), \(min(most, Self.itemLimit)), \(Self.byteLimit))")
            var lines: [UInt8] = []
            for item in items {
                item.withBytes(0) { lines.append(contentsOf: $0) }
                lines.append(UInt8(ascii: "\n"))
            }
            return FeedPage(numbering: name, lines: lines)
        }
    }

    /// Of a page.
    public static let itemLimit = 1000

    /// Of a page, but for its last item.
    static let byteLimit = 1 << 20

    /// The name of the numbering, and the timeline of the server: a server that was set back to an earlier state has
    /// another one, as has a standby that took over, which may lack what was committed last.
    private func numbering() throws -> String {
        let row = try connection.run(
            """
            SELECT pg_is_in_recovery(), CASE WHEN NOT pg_is_in_recovery() THEN
                name || '-' || left(pg_walfile_name(pg_current_wal_lsn()), 8) END
            FROM shacache.feed_numbering
            """
        ).first!
        // Its locks say nothing about what the primary may still commit.
        guard !row.bool(0) else { throw NotOnStandby() }
        return row.text(1)!
    }
}

/// The clients that may read it.
public enum FeedReaders: String, Decodable, Sendable {
    /// Those with an operator's certificate.
    case operators
    case all
}

public struct FeedPage: Sendable {
    /// As long as it is the same, numbers mean the same.
    public let numbering: String
    /// JSON, an item a line; none when there is nothing after the number by now.
    public let lines: [UInt8]
}

/// What a standby can't answer.
public struct NotOnStandby: Error, CustomStringConvertible {
    public var description: String { "the database is a standby, whose numbers aren't settled" }
}

extension Feed {
    /// Makes readers begin anew, since numbers may be given again. As the owner of the schema.
    func startAnew() throws { try connection.run("UPDATE shacache.feed_numbering SET name = gen_random_uuid()") }
}
