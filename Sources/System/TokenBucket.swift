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
