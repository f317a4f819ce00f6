import Glibc
import Synchronization

/// A token bucket of the names that an address asks for in lists: two full lists at once, then as many a second as nginx allows
/// requests (limits.conf), since each name is the work of one. nginx counts a list once, whatever it has in it.
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
        let client = network(of: address)
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

/// As nginx's limits count: of IPv6 the network, since a host has 2^64 addresses there.
private func network(of address: String) -> String {
    var bytes = in6_addr()
    guard inet_pton(AF_INET6, address, &bytes) == 1 else { return address }
    return withUnsafeBytes(of: bytes) { "\($0.prefix(8).map { String($0, radix: 16) }.joined(separator: ":"))::" }
}
