import Storage
import Synchronization

/// How many refused uploads go on record: some at once, then one a second. Anybody can be refused any number of times,
/// and rows are kept for months, or for good. All who aren't valid share one bucket; each account has its own, which is
/// larger. Shared by the threads of a worker.
public final class RefusalRateLimiter: Sendable {
    private struct Share {
        var bucket: TokenBucket
        /// Since the last that was allowed.
        var leftOut = 0

        mutating func take(at now: ContinuousClock.Instant) -> Int? {
            guard bucket.take(at: now) else {
                leftOut += 1
                return nil
            }
            defer { leftOut = 0 }
            return leftOut
        }
    }

    private static let capacityOfStrangers = 100.0
    private static let capacityOfAccount = 1000.0
    /// In a second.
    private static let rate = 1.0

    /// nil has the share of those who aren't valid. There are no more than accounts.
    private let shares = Mutex<[Account.ID?: Share]>([:])

    public init() {}

    /// - Parameter account: that was refused; nil for whoever has none, or a certificate that doesn't count.
    /// - Returns: how many were left out since the last that was allowed; nil when this one is left out as well.
    func take(for account: Account.ID?, at now: ContinuousClock.Instant = .now) -> Int? {
        let capacity = account == nil ? Self.capacityOfStrangers : Self.capacityOfAccount
        return shares.withLock { shares in
            let full = Share(bucket: TokenBucket(capacity: capacity, rate: Self.rate, at: now))
            return shares[account, default: full].take(at: now)
        }
    }
}
