public import Postgres

/// What is being cut by subject: each of its files becomes a type on a `Session`.
public final class Catalog {
    public let session: Session
    var connection: Connection { session.connection }

    public init(_ target: Connection.Target, bulkhead: DatabaseBulkhead? = nil) {
        session = Session(target, bulkhead: bulkhead)
    }

    /// - Parameter session: shared with the subjects that have a type of their own.
    public init(_ session: Session) { self.session = session }

    func reading<Result>(_ body: () throws -> Result) throws -> Result { try session.reading(body) }
}
