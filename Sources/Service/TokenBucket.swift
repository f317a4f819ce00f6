/// Allows so many events at once, and then as many as come in at a steady rate.
struct TokenBucket {
    private let capacity: Double
    /// Tokens in a second.
    private let rate: Double
    private var tokens: Double
    private var filled: ContinuousClock.Instant

    init(capacity: Double, rate: Double, at now: ContinuousClock.Instant) {
        (self.capacity, self.rate) = (capacity, rate)
        (tokens, filled) = (capacity, now)
    }

    /// - Returns: whether there was a token, which is spent by this.
    mutating func take(at now: ContinuousClock.Instant) -> Bool {
        tokens = min(capacity, tokens + filled.duration(to: now) / .seconds(1) * rate)
        filled = now
        guard tokens >= 1 else { return false }
        tokens -= 1
        return true
    }
}
