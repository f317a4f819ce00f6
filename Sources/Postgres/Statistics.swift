/// What a session has asked of the server since it was made, and how that went.
public struct Statistics: Sendable {
    public internal(set) var statements = 0
    /// Spent on statements, connecting included.
    public internal(set) var waited = Duration.zero
    /// Connections that were made.
    public internal(set) var sessions = 0
    /// Statements that failed.
    public private(set) var failures: [Failure: Int] = [:]

    /// `DatabaseError.Kind`, without the cases' details.
    public enum Failure: String, CaseIterable, Sendable {
        case unavailable, lost
        case unknownOutcome = "unknown outcome"
        case rejected
    }

    public init() {}

    mutating func count(_ error: any Error) {
        guard let error = error as? DatabaseError else { return }
        failures[error.kind.failure, default: 0] += 1
    }
}

extension DatabaseError.Kind {
    fileprivate var failure: Statistics.Failure {
        switch self {
        case .unavailable: .unavailable
        case .lost: .lost
        case .unknownOutcome: .unknownOutcome
        case .rejected: .rejected
        }
    }
}
