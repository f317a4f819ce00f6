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
