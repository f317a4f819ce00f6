public import Postgres
import ShaCache

/// What is being cut by subject: each of its files becomes a type on a `Session`.
public final class Catalog {
    public let session: Session
    var connection: Connection { session.connection }
    /// Signers' keys by their DER form: parsing one takes longer than a query.
    var parsedKeys: [[UInt8]: Signer] = [:]

    public init(_ target: Connection.Target, waiters: Waiters? = nil) {
        session = Session(target, waiters: waiters)
    }

    func reading<Result>(_ body: () throws -> Result) throws -> Result { try session.reading(body) }
}
