import Glibc

/// A token bucket: allows a burst of events, then a steady rate.
public struct TokenBucket: Sendable {
    private let capacity: Double
    /// Tokens in a second.
    private let rate: Double
    private var tokens: Double
    private var filled: ContinuousClock.Instant

    public init(capacity: Double, rate: Double, at now: ContinuousClock.Instant) {
        (self.capacity, self.rate) = (capacity, rate)
        (tokens, filled) = (capacity, now)
    }

    /// - Returns: whether there was a token, which is spent by this.
    public mutating func spend(at now: ContinuousClock.Instant) -> Bool { pause(before: 1, at: now) == nil }

    /// Takes so many tokens together.
    ///
    /// - Returns: nil when they were there, and are spent by this; else in how many seconds they will be.
    public mutating func pause(before count: Double, at now: ContinuousClock.Instant) -> Double? {
        fill(at: now)
        guard tokens < count else {
            tokens -= count
            return nil
        }
        return (count - tokens) / rate
    }

    public mutating func isFull(at now: ContinuousClock.Instant) -> Bool {
        fill(at: now)
        return tokens == capacity
    }

    private mutating func fill(at now: ContinuousClock.Instant) {
        tokens = min(capacity, tokens + filled.duration(to: now) / .seconds(1) * rate)
        filled = now
    }
}

/// As nginx's limits count: of IPv6 the network, since a host has 2^64 addresses there.
public func network(ofAddress address: String) -> String {
    var bytes = in6_addr()
    guard inet_pton(AF_INET6, address, &bytes) == 1 else { return address }
    return withUnsafeBytes(of: bytes) { "\($0.prefix(8).map { String($0, radix: 16) }.joined(separator: ":"))::" }
}
