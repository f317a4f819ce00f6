import Synchronization

/// Threads that ask one server, and share what they know of it: while it answers, all may ask; while it hangs, only so
/// many wait for it, and the others are free for what needs no database.
public final class Waiters: Sendable {
    private let most: Int
    /// A server that says nothing for so long hangs.
    let patience: Duration
    private let asking = Atomic(0)
    private let staying = Atomic(0)
    private let serverHangs = Atomic(false)

    /// - Parameters:
    ///   - most: how many may wait. At least one, or nobody would learn that the server answers again.
    ///   - patience: a server that says nothing for so long hangs. Longer than statements usually take.
    public init(most: Int, patience: Duration = .seconds(1)) {
        self.most = most
        self.patience = patience
    }

    /// - Throws: `DatabaseError` of kind `unavailable`, at once, when enough wait already.
    func ask<Result>(_ body: () throws -> Result) throws -> Result {
        let others = asking.add(1, ordering: .relaxed).oldValue
        defer { asking.subtract(1, ordering: .relaxed) }
        guard others < most || !serverHangs.load(ordering: .relaxed) else {
            throw DatabaseError(.unavailable, "enough wait already for a server that says nothing", statement: "")
        }
        let begin = ContinuousClock.now
        do {
            let result = try body()
            serverHangs.store(false, ordering: .relaxed)
            return result
        } catch {
            serverHangs.store(begin.duration(to: .now) >= patience, ordering: .relaxed)
            throw error
        }
    }

    /// For one that lost its patience: whether it may wait on, until it says `leave`. Of those that asked before anybody
    /// knew, some may not.
    func stay() -> Bool {
        serverHangs.store(true, ordering: .relaxed)
        if staying.add(1, ordering: .relaxed).newValue <= most { return true }
        leave()
        return false
    }

    func leave() { staying.subtract(1, ordering: .relaxed) }
}
