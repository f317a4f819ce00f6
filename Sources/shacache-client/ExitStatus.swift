import Client

/// What the exit code says; `shacache help` lists them.
enum ExitStatus: Int32 {
    case done = 0
    case misuse = 1
    case failed = 2
    case missing = 3
    case untrusted = 4
    case unreachable = 5

    init(_ error: any Error) {
        self =
            switch error {
            case is UsageError, is Unconfigured: .misuse
            case CacheFailure.missing: .missing
            case CacheFailure.untrusted: .untrusted
            case CacheFailure.unreachable, CacheFailure.troubled, CacheFailure.malformed: .unreachable
            case let stated as ExitError: stated.status
            default: .failed
            }
    }

    /// Of several pieces of work: what all that failed have in common.
    init(_ statuses: [ExitStatus]) {
        let failures = Set(statuses.filter { $0 != .done })
        self = failures.count > 1 ? .failed : failures.first ?? .done
    }
}

/// The command is over, and has said why.
struct ExitError: Error {
    let status: ExitStatus
}
