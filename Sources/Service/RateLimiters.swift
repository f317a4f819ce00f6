import Storage
import Synchronization
import System

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

/// A token bucket of the names that an address asks for in lists: two full lists at once, then as many a second as
/// nginx allows requests (limits.conf), since each name is the work of one. nginx counts a list once, whatever it has
/// in it.
///
/// Shared by the threads of a worker; each worker has its own.
public final class ListRateLimiter: Sendable {
    private static let capacity = 20_000.0
    /// In a second.
    private static let rate = 2000.0
    /// From here on those that are full again are forgotten.
    private static let mostClients = 10_000

    private let buckets = Mutex<[String: TokenBucket]>([:])

    public init() {}

    /// Takes so many names from what an address has left.
    ///
    /// - Returns: nil when they are allowed; otherwise after how many seconds they would be, and nothing is taken.
    func pause(before count: Int, from address: String, at now: ContinuousClock.Instant = .now) -> Int? {
        let client = network(ofAddress: address)
        return buckets.withLock { buckets in
            if buckets.count >= Self.mostClients { Self.forget(&buckets, at: now) }
            let full = TokenBucket(capacity: Self.capacity, rate: Self.rate, at: now)
            return buckets[client, default: full].pause(before: Double(count), at: now).map { Int($0.rounded(.up)) }
        }
    }

    private static func forget(_ buckets: inout [String: TokenBucket], at now: ContinuousClock.Instant) {
        buckets = buckets.filter { _, bucket in
            var bucket = bucket
            return !bucket.isFull(at: now)
        }
    }
}
