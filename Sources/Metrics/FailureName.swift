/// Stable names of what fails on the server's side, to group by in the record, logs and metrics.
public enum FailureName: String, CaseIterable, Sendable {
    case databaseUnavailable = "database unavailable"
    case unknownOutcome = "unknown outcome"
    case schemaIsOlder = "schema is older"
    case noSpace = "no space"
    case storeReadOnly = "store read-only"
    case storeBroken = "store broken"
    case internalError = "internal error"
}
