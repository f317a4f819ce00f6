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

/// For the subjects that are not moved yet.
extension Catalog {
    @discardableResult
    func change<Result>(
        by actor: String, _ action: String, _ subject: String, detail: String = "", _ body: () throws -> Result
    ) throws -> Result {
        try session.audit.change(action, of: subject, by: actor, detail: detail, body)
    }

    func audit(_ actor: String, _ action: String, _ subject: String, _ detail: String) throws {
        try session.audit.append(action, of: subject, by: actor, detail: detail)
    }

    func administering<Result>(_ subject: String, _ body: () throws -> Result) throws -> Result {
        try session.audit.transaction(changing: subject, body)
    }
}
