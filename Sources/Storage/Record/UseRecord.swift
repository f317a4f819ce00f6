import Postgres
public import ShaCache

/// What a list (`POST /-/have`) asked for and was there.
public struct FoundNames: Sendable {
    public var blobs: [Digest] = []
    public var keys: [Key] = []

    public init() {}

    public var isEmpty: Bool { blobs.isEmpty && keys.isEmpty }
}

/// The record of use that no access log has.
public struct UseRecord {
    let session: Session

    public init(_ session: Session) { self.session = session }

    /// Notes that these were asked for today: one write for each and day at most, and none on a standby. A crash of the
    /// server may lose what was noted in the last second.
    public func note(_ names: FoundNames) throws {
        let blobs = names.blobs.map { "\\x\($0)" }
        try session.connection.run("SELECT shacache.note_use(\(blobs)::bytea[], \(names.keys.map(\.text))::text[])")
    }
}
