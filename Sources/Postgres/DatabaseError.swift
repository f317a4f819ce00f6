import CPostgres

/// What PostgreSQL refused or could not answer, with the statement that was asked.
public struct DatabaseError: Error, CustomStringConvertible {
    public enum Kind: Equatable, Sendable {
        /// The server can't be reached, is starting or stopping, or lacks room: the same call may succeed later.
        case unavailable
        /// The connection was lost while a COMMIT was under way: it may or may not have happened.
        case unknownOutcome
        /// The server understood and said no. The code is PostgreSQL's SQLSTATE (manual, appendix A).
        case rejected(sqlState: String)
    }

    public let kind: Kind
    public let message: String
    public let statement: String

    init(_ kind: Kind, _ message: String, statement: String) {
        self.kind = kind
        self.message = message
        self.statement = statement
    }

    /// - Parameter result: of a failed statement; not consumed.
    init(result: OpaquePointer?, connection: OpaquePointer, statement: String) {
        let sqlState = PQresultErrorField(result, Int32(UInt8(ascii: "C"))).map { String(cString: $0) }
        self.init(
            Self.kind(sqlState: sqlState, connection: connection),
            Self.firstLine(result == nil ? PQerrorMessage(connection) : PQresultErrorMessage(result)),
            statement: statement)
    }

    private static func kind(sqlState: String?, connection: OpaquePointer) -> Kind {
        guard PQstatus(connection) == CONNECTION_OK, let sqlState else { return .unavailable }
        // By class: connection, transaction rollback, resources, operator intervention (also the statement
        // time limit); and 25006, which is what a primary that was demoted to standby says.
        let passing = ["08", "40", "53", "57"].contains(sqlState.prefix(2)) || sqlState == "25006"
        return passing ? .unavailable : .rejected(sqlState: sqlState)
    }

    static func firstLine(_ text: UnsafePointer<CChar>?) -> String {
        guard let text else { return "unknown error" }
        return String(String(cString: text).prefix { !$0.isNewline })
    }

    public var description: String {
        statement.isEmpty ? "database: \(message)" : "database: \(message) (in: \(statement))"
    }

    public var isCheckViolation: Bool { kind == .rejected(sqlState: "23514") }
    public var isUniqueViolation: Bool { kind == .rejected(sqlState: "23505") }
}
