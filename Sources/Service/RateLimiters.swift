import Storage
import Synchronization
public import System

/// A token bucket for refused uploads on record: some at once, then one a second. Anybody can be refused any number of
/// times, and rows are kept for months, or for good. All requests without a valid account take from one token bucket;
/// each account has its own, which is larger. Shared by the threads of a worker.
public final class RefusalRateLimiter: Sendable {
    private struct Allocation {
        var bucket: TokenBucket
        /// Since the last that was allowed.
        var leftOut = 0

        mutating func allow(at now: ContinuousClock.Instant) -> Int? {
            guard bucket.spend(at: now) else {
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

    /// By account; nil is for all requests without a valid one.
    private let allocations = Mutex<[AccountID?: Allocation]>([:])

    public init() {}

    /// - Parameter account: that was refused; nil for a request without one, or with a certificate that isn't valid.
    /// - Returns: how many were left out since the last that was allowed; nil when this one is left out as well.
    func allow(for account: AccountID?, at now: ContinuousClock.Instant = .now) -> Int? {
        let capacity = account == nil ? Self.capacityOfStrangers : Self.capacityOfAccount
        return allocations.withLock { allocations in
            let full = Allocation(bucket: TokenBucket(capacity: capacity, rate: Self.rate, at: now))
            return allocations[account, default: full].allow(at: now)
        }
    }
}

extension ClientBuckets {
    /// For the names that an address asks for in lists: two full lists at once, then as many a second as nginx allows
    /// requests (limits.conf), since each name is the work of one. nginx counts a list once, whatever it has in it. Each
    /// worker has its own.
    public static func forLists() -> ClientBuckets { ClientBuckets(capacity: 20_000, rate: 2000) }
}
