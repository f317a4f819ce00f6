import CPostgres

/// What PostgreSQL refused or could not answer, with the statement that was asked.
public struct DatabaseError: Error, CustomStringConvertible {
    public let kind: DatabaseFailureMode
    public let message: String
    public let statement: String
    /// The name of the constraint that a row would have broken.
    public let constraint: String?
    /// The statement was ended because it took longer than it may.
    public let tookTooLong: Bool
    /// The server rolled the transaction back because of others at the same time, as in a deadlock.
    let isRolledBack: Bool
    /// The server itself answered so, instead of completing the statement.
    let isAnswer: Bool

    init(
        _ kind: DatabaseFailureMode, _ message: String, statement: String, constraint: String? = nil,
        tookTooLong: Bool = false, isRolledBack: Bool = false, isAnswer: Bool = false
    ) {
        self.kind = kind
        self.message = message
        self.statement = statement
        self.constraint = constraint
        self.tookTooLong = tookTooLong
        self.isRolledBack = isRolledBack
        self.isAnswer = isAnswer
    }

    /// - Parameters:
    ///   - result: of a failed statement; not consumed.
    ///   - isFirst: whether the server answered nothing to the statement before it.
    init(result: OpaquePointer?, isFirst: Bool = false, connection: OpaquePointer, statement: String) {
        func field(_ letter: Unicode.Scalar) -> String? {
            PQresultErrorField(result, Int32(letter.value)).map { String(cString: $0) }
        }
        self.init(
            Self.kind(sqlState: field("C"), connection: connection),
            Self.firstLine(result == nil ? PQerrorMessage(connection) : PQresultErrorMessage(result)),
            statement: statement, constraint: field("n"),
            // query_canceled, in PostgreSQL's appendix A; serialization_failure and deadlock_detected.
            tookTooLong: field("C") == "57014", isRolledBack: ["40001", "40P01"].contains(field("C")),
            isAnswer: isFirst && field("C") != nil)
    }

    private static func kind(sqlState: String?, connection: OpaquePointer) -> DatabaseFailureMode {
        guard PQstatus(connection) == CONNECTION_OK, let sqlState else { return .lost }
        // By class: connection, transaction rollback, resources, operator intervention (also the statement
        // time limit); and 25006, which a primary answers that was demoted to standby.
        let passing = ["08", "40", "53", "57"].contains(sqlState.prefix(2)) || sqlState == "25006"
        return passing ? .unavailable : .rejected(sqlState: sqlState)
    }

    /// Nothing was done, and the same call may succeed later.
    var isTransient: Bool { kind == .unavailable || kind == .lost }

    /// Whether a table, view, column, function or schema isn't there that the statement names.
    public var lacksSchema: Bool {
        // In PostgreSQL's appendix A: undefined_table, undefined_column, undefined_function, invalid_schema_name.
        ["42P01", "42703", "42883", "3F000"].contains { kind == .rejected(sqlState: $0) }
    }

    static func firstLine(_ text: UnsafePointer<CChar>?) -> String {
        guard let text else { return "unknown error" }
        return String(String(cString: text).prefix { !$0.isNewline })
    }

    public var description: String {
        // On one line, for logs and terminals.
        let words = statement.split(whereSeparator: \.isWhitespace).joined(separator: " ")
        return words.isEmpty ? "database: \(message)" : "database: \(message) (in: \(words))"
    }
}

extension Error {
    /// Whether it is the database's, and passes: nothing was done, and the same call may succeed later.
    public var isTransient: Bool { (self as? DatabaseError)?.isTransient ?? false }

    /// Whether the database rolled the transaction back because of others at the same time: the same may succeed at once.
    public var isRolledBack: Bool { (self as? DatabaseError)?.isRolledBack ?? false }
}

public enum DatabaseFailureMode: Equatable, Sendable {
    /// The server can't be reached, is starting or stopping, lacks room or took too long: nothing was done, and the
    /// same call may succeed later.
    case unavailable
    /// The session ended before the server had done it: nothing was committed.
    case lost
    /// The session ended while something was committed, which may or may not have happened.
    case unknownOutcome
    /// The server understood and said no. The code is PostgreSQL's SQLSTATE (manual, appendix A).
    case rejected(sqlState: String)
}

/// What a session has asked of the server since it was made, and how that went.
public struct Statistics: Sendable {
    public internal(set) var statements = 0
    /// Spent on statements, connecting included.
    public internal(set) var waited = Duration.zero
    /// Connections that were made.
    public internal(set) var sessions = 0
    /// Statements that failed.
    public private(set) var failures: [StatementFailure: Int] = [:]

    public init() {}

    mutating func count(_ error: any Error) {
        guard let error = error as? DatabaseError else { return }
        failures[error.kind.failure, default: 0] += 1
    }
}

extension DatabaseFailureMode {
    fileprivate var failure: StatementFailure {
        switch self {
        case .unavailable: .unavailable
        case .lost: .lost
        case .unknownOutcome: .unknownOutcome
        case .rejected: .rejected
        }
    }
}

/// `DatabaseFailureMode`, without the cases' details.
public enum StatementFailure: String, CaseIterable, Sendable {
    case unavailable, lost
    case unknownOutcome = "unknown outcome"
    case rejected
}
