import Glibc
import Synchronization

/// A token bucket for each client, which is an address, or of IPv6 a network. Shared by the threads of a process.
public final class ClientBuckets: Sendable {
    private let capacity: Double
    private let rate: Double
    private let buckets = Mutex<[String: TokenBucket]>([:])

    /// From here on those that are full again are forgotten.
    private static let mostClients = 10_000

    /// - Parameters:
    ///   - capacity: the tokens that a client has at first.
    ///   - rate: tokens that each gets in a second.
    public init(capacity: Double, rate: Double) { (self.capacity, self.rate) = (capacity, rate) }

    /// Takes so many tokens from what an address has left.
    ///
    /// - Returns: nil when they were there; otherwise in how many seconds they will be, and nothing is taken.
    @discardableResult
    public func take(_ count: Int, from address: String, at now: ContinuousClock.Instant = .now) -> Int? {
        buckets.withLock { buckets in
            if buckets.count >= Self.mostClients { Self.forget(&buckets, at: now) }
            let full = TokenBucket(capacity: capacity, rate: rate, at: now)
            return buckets[network(ofAddress: address), default: full].seconds(before: count, at: now)
        }
    }

    /// - Returns: nil when an address has so many tokens left; otherwise in how many seconds it will.
    public func delay(before count: Int, from address: String, at now: ContinuousClock.Instant = .now) -> Int? {
        buckets.withLock { buckets in
            // Of a copy: nothing is taken.
            var bucket = buckets[network(ofAddress: address)] ?? TokenBucket(capacity: capacity, rate: rate, at: now)
            return bucket.seconds(before: count, at: now)
        }
    }

    private static func forget(_ buckets: inout [String: TokenBucket], at now: ContinuousClock.Instant) {
        buckets = buckets.filter { _, bucket in
            var bucket = bucket
            return !bucket.isFull(at: now)
        }
    }
}

extension TokenBucket {
    /// Whole ones, as the header Retry-After has them.
    fileprivate mutating func seconds(before count: Int, at now: ContinuousClock.Instant) -> Int? {
        pause(before: Double(count), at: now).map { Int($0.rounded(.up)) }
    }
}

/// As nginx's limits count: of IPv6 the network, since a host has 2^64 addresses there.
private func network(ofAddress address: String) -> String {
    var bytes = in6_addr()
    guard inet_pton(AF_INET6, address, &bytes) == 1 else { return address }
    return withUnsafeBytes(of: bytes) { "\($0.prefix(8).map { String($0, radix: 16) }.joined(separator: ":"))::" }
}
