import CPostgres
import Synchronization
import System

/// A session that is given up while the server is at a statement of it.
///
/// While a statement waits for a lock, or a COMMIT for a synchronous standby, the server doesn't notice that its client
/// has gone: it would keep its locks, and its place among `max_connections`, for as long. So the statement is cancelled
/// before the session is closed. What a COMMIT has written stays, as it does when the connection is lost.
///
/// `@unchecked Sendable`: it becomes the only owner of the handle.
struct GivenUpSession: @unchecked Sendable {
    private let handle: OpaquePointer  // PGconn *
    private static let pending = Atomic(0)
    /// Where a server hangs or its host is dead, cancelling takes until the kernel gives up: no more than so many wait.
    private static let mostPending = 32

    init(owning handle: OpaquePointer) { self.handle = handle }

    /// Returns at once. PQcancel waits without any limit for another connection, and for its end, so a thread of its
    /// own does that.
    func end() {
        guard Self.pending.add(1, ordering: .relaxed).newValue <= Self.mostPending,
            let thread = try? Thread({
                cancel()
                finish()
            })
        else { return finish() }
        thread.detach()
    }

    private func cancel() {
        let request = PQgetCancel(handle)
        defer { PQfreeCancel(request) }
        var reason: CChar = 0
        PQcancel(request, &reason, 1)
    }

    private func finish() {
        PQfinish(handle)
        Self.pending.subtract(1, ordering: .relaxed)
    }
}
