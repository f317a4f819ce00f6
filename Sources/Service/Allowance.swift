import Synchronization

/// How many uploads of strangers go on record when they are refused: some at once, then one a second. Anybody can be
/// refused as often as he likes, and rows are kept for good. Shared by the threads of a worker.
public final class Allowance: Sendable {
    private struct State {
        var tokens = Allowance.most
        var filled = ContinuousClock.now
        var leftOut = 0
    }

    private static let most = 100.0
    private static let perSecond = 1.0

    private let state = Mutex(State())

    public init() {}

    /// - Returns: how many were left out since the last that was allowed; nil when this one is left out as well.
    func take() -> Int? {
        state.withLock { state in
            let now = ContinuousClock.now
            state.tokens = min(Self.most, state.tokens + state.filled.duration(to: now) / .seconds(1) * Self.perSecond)
            state.filled = now
            guard state.tokens >= 1 else {
                state.leftOut += 1
                return nil
            }
            state.tokens -= 1
            defer { state.leftOut = 0 }
            return state.leftOut
        }
    }
}
