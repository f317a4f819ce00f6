import System
import Testing

@testable import Service

struct RefusalRateLimiterTests {
    private let limiter = RefusalRateLimiter()
    private let start = ContinuousClock.now

    @Test func `strangers share one bucket, and accounts have larger ones of their own`() {
        func count(_ account: Int?) -> Int { (0..<2000).count { _ in limiter.allow(for: account, at: start) != nil } }
        #expect([count(nil), count(1), count(2), count(nil), count(1)] == [100, 1000, 1000, 0, 0])
    }

    @Test func `whoever is allowed next says how many were left out`() {
        for _ in 0..<100 { #expect(limiter.allow(for: nil, at: start) == 0) }
        for _ in 0..<7 { #expect(limiter.allow(for: nil, at: start) == nil) }
        #expect(limiter.allow(for: nil, at: start + .seconds(1)) == 7)
        #expect(limiter.allow(for: nil, at: start + .seconds(2)) == 0)
    }
}
