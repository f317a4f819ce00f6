import ShaCache
import Storage
import Synchronization
import System

/// What one upstream gave, until the next time that it is written down. Shared by all threads.
final class UpstreamLedger: Sendable {
    private struct State {
        var sums = UpstreamSums()
        var faults: [UpstreamFault] = []
        /// An upstream that gives nothing but what is wrong fills no record.
        var bucket = TokenBucket(capacity: 100, rate: 1, at: .now)
        /// What the record has of it.
        var wasAway: Bool?
    }

    private let state = Mutex(State())

    func count(_ body: (inout UpstreamSums) -> Void) { state.withLock { body(&$0.sums) } }

    func note(_ failure: UpstreamFailure, of subject: UpstreamFault.Subject) {
        guard failure.isFault else { return count { $0.failures += 1 } }
        count { $0.faults += 1 }
        note(UpstreamFault(subject, reason: failure.reason.rawValue, detail: failure.description))
    }

    func note(_ fault: UpstreamFault) {
        state.withLock { state in
            if state.bucket.spend(at: .now) { state.faults.append(fault) }
        }
    }

    /// Writes it down, unless there is nothing new.
    ///
    /// - Throws: what `write` throws; then it is tried again the next time.
    func flush(isAway: Bool, _ write: (UpstreamSums, [UpstreamFault]) throws -> Void) throws {
        let (sums, faults, isNew) = state.withLock { state in
            defer { (state.sums, state.faults) = (UpstreamSums(), []) }
            let isNew = state.sums != UpstreamSums() || !state.faults.isEmpty || state.wasAway != isAway
            return (state.sums, state.faults, isNew)
        }
        guard isNew else { return }
        do {
            try write(sums, faults)
            state.withLock { $0.wasAway = isAway }
        } catch {
            state.withLock { state in
                state.sums += sums
                // No more than one time's: a database that is away for long takes no memory.
                if state.faults.isEmpty { state.faults = faults }
            }
            throw error
        }
    }
}
