import Postgres
import Storage
import System

/// A few sessions for many threads, which need one for a moment. `@unchecked Sendable`: a session is in the pool or in one
/// thread's hands.
final class DatabasePool: @unchecked Sendable {
    private let idle: Monitor<[Session]>

    private static let size = 8

    init(_ options: ConnectionOptions) {
        idle = Monitor((0..<Self.size).map { _ in Session(options) })
    }

    func withSession<Result>(_ body: (Session) throws -> Result) rethrows -> Result {
        let session = idle.wait { $0.popLast() }
        defer { idle.changeWakingOne { $0.append(session) } }
        return try body(session)
    }
}
