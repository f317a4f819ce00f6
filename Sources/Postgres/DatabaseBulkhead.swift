import CPostgres
import Synchronization
import System

/// Keeps a server that hangs from taking all threads of a process: while it answers, all may ask; while it hangs, only
/// so many wait for it, and the others are free for what needs no database. Shared by these threads.
public final class DatabaseBulkhead: Sendable {
    private let maximumWaiting: Int
    /// A server that doesn't answer for so long hangs.
    let stallTimeout: Duration
    private let inside = Atomic(0)
    private let waiting = Atomic(0)
    private let serverHangs = Atomic(false)

    /// - Parameters:
    ///   - maximumWaiting: at least one, or no thread would learn that the server answers again.
    ///   - stallTimeout: a server that doesn't answer for so long hangs. Longer than statements usually take.
    public init(maximumWaiting: Int, stallTimeout: Duration = .seconds(1)) {
        self.maximumWaiting = maximumWaiting
        self.stallTimeout = stallTimeout
    }

    /// - Throws: `DatabaseError` of kind `unavailable`, at once, when enough wait already.
    func enter<Result>(_ body: () throws -> Result) throws -> Result {
        let others = inside.add(1, ordering: .relaxed).oldValue
        defer { inside.subtract(1, ordering: .relaxed) }
        guard others < maximumWaiting || !serverHangs.load(ordering: .relaxed) else {
            throw DatabaseError(.unavailable, "enough wait already for a server that says nothing", statement: "")
        }
        let begin = ContinuousClock.now
        do {
            let result = try body()
            serverHangs.store(false, ordering: .relaxed)
            return result
        } catch {
            serverHangs.store(begin.duration(to: .now) >= stallTimeout, ordering: .relaxed)
            throw error
        }
    }

    /// Of a thread that has waited for `stallTimeout`: whether it may wait on, until it calls `release`. More may have
    /// entered before the server was known to hang.
    func keepWaiting() -> Bool {
        serverHangs.store(true, ordering: .relaxed)
        if waiting.add(1, ordering: .relaxed).newValue <= maximumWaiting { return true }
        release()
        return false
    }

    func release() { waiting.subtract(1, ordering: .relaxed) }
}

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
