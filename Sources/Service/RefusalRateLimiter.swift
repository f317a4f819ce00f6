import Storage
import Synchronization

/// How many refused uploads go on record: some at once, then one a second. Anybody can be refused as often as he likes,
/// and rows are kept for months, or for good. All who aren't valid share what there is; each account has its own, which
/// is more. Shared by the threads of a worker.
public final class Allowance: Sendable {
    private struct State {
        var tokens: Double
        var filled = ContinuousClock.now
        var leftOut = 0

        mutating func take(most: Double) -> Int? {
            let now = ContinuousClock.now
            tokens = min(most, tokens + filled.duration(to: now) / .seconds(1) * Allowance.perSecond)
            filled = now
            guard tokens >= 1 else {
                leftOut += 1
                return nil
            }
            tokens -= 1
            defer { leftOut = 0 }
            return leftOut
        }
    }

    private static let mostOfStrangers = 100.0
    private static let mostOfAccount = 1000.0
    private static let perSecond = 1.0

    /// nil has the share of those who aren't valid. There are no more than accounts.
    private let states = Mutex<[Account.ID?: State]>([:])

    public init() {}

    /// - Parameter account: that was refused; nil for whoever has none, or a certificate that doesn't count.
    /// - Returns: how many were left out since the last that was allowed; nil when this one is left out as well.
    func take(for account: Account.ID?) -> Int? {
        let most = account == nil ? Self.mostOfStrangers : Self.mostOfAccount
        return states.withLock { $0[account, default: State(tokens: most)].take(most: most) }
    }
}
