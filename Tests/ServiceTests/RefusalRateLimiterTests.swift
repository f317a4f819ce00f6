import System
import Testing

@testable import Service

struct TokenBucketTests {
    private let start = ContinuousClock.now
    private var bucket: TokenBucket { TokenBucket(capacity: 3, rate: 2, at: start) }

    private func taken(from bucket: inout TokenBucket, tries: Int, after seconds: Double) -> Int {
        (0..<tries).count { _ in bucket.spend(at: start + .seconds(seconds)) }
    }

    @Test func `what it holds goes at once, and then what comes in`() {
        var bucket = bucket
        #expect(taken(from: &bucket, tries: 10, after: 0) == 3)
        #expect(taken(from: &bucket, tries: 10, after: 0.4) == 0)
        #expect(taken(from: &bucket, tries: 10, after: 0.5) == 1)
        #expect(taken(from: &bucket, tries: 10, after: 1.5) == 2)
    }

    @Test func `it never holds more than its capacity`() {
        var bucket = bucket
        #expect(taken(from: &bucket, tries: 10, after: 86_400) == 3)
    }
}

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
