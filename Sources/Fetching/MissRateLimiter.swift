import Synchronization
import System

/// A token bucket of the names that an address asks for and that no upstream has: whoever makes them up would otherwise have
/// this cache ask for each. Shared by the threads of the process.
final class MissRateLimiter: Sendable {
    private static let capacity = 1000.0
    /// In a second.
    private static let rate = 10.0
    /// From here on those that are full again are forgotten.
    private static let mostClients = 10_000

    private let buckets = Mutex<[String: TokenBucket]>([:])

    /// - Returns: nil when an upstream may be asked for an address; otherwise in how many seconds it may be.
    func pause(for address: String, at now: ContinuousClock.Instant = .now) -> Int? {
        buckets.withLock { buckets in
            guard var bucket = buckets[network(ofAddress: address)] else { return nil }
            // Of a copy: nothing is spent on what is found.
            return bucket.pause(before: 1, at: now).map { Int($0.rounded(.up)) }
        }
    }

    /// Notes that an upstream was asked for an address in vain.
    func noteMiss(by address: String, at now: ContinuousClock.Instant = .now) {
        buckets.withLock { buckets in
            if buckets.count >= Self.mostClients { Self.forget(&buckets, at: now) }
            let full = TokenBucket(capacity: Self.capacity, rate: Self.rate, at: now)
            _ = buckets[network(ofAddress: address), default: full].spend(at: now)
        }
    }

    private static func forget(_ buckets: inout [String: TokenBucket], at now: ContinuousClock.Instant) {
        buckets = buckets.filter { _, bucket in
            var bucket = bucket
            return !bucket.isFull(at: now)
        }
    }
}
