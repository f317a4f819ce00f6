import Testing

@testable import Service

struct ListRateLimiterTests {
    private let limiter = ListRateLimiter()
    private let start = ContinuousClock.now

    @Test func `two full lists are answered at once, and then as many names as come in`() {
        #expect(limiter.pause(before: 10_000, from: "192.0.2.1", at: start) == nil)
        #expect(limiter.pause(before: 10_000, from: "192.0.2.1", at: start) == nil)
        #expect(limiter.pause(before: 10_000, from: "192.0.2.1", at: start) == 5)
        #expect(limiter.pause(before: 1, from: "192.0.2.1", at: start) == 1)
        #expect(limiter.pause(before: 2000, from: "192.0.2.1", at: start + .seconds(1)) == nil)
        #expect(limiter.pause(before: 10_000, from: "192.0.2.1", at: start + .seconds(6)) == nil)
    }

    @Test func `what is refused costs nothing`() {
        _ = limiter.pause(before: 20_000, from: "192.0.2.1", at: start)
        for _ in 0..<9 { #expect(limiter.pause(before: 2000, from: "192.0.2.1", at: start) == 1) }
        #expect(limiter.pause(before: 2000, from: "192.0.2.1", at: start + .seconds(1)) == nil)
    }

    @Test func `others are not held up, and a network of IPv6 is one client`() {
        _ = limiter.pause(before: 20_000, from: "192.0.2.1", at: start)
        #expect(limiter.pause(before: 20_000, from: "192.0.2.2", at: start) == nil)
        #expect(limiter.pause(before: 20_000, from: "2001:db8::1", at: start) == nil)
        #expect(limiter.pause(before: 20_000, from: "2001:db8:0:0:ffff::2", at: start) == 10)
        #expect(limiter.pause(before: 20_000, from: "2001:db8:0:1::1", at: start) == nil)
    }

    @Test func `who is forgotten had nothing left to work off`() {
        _ = limiter.pause(before: 20_000, from: "192.0.2.1", at: start)
        for number in 0..<10_001 { _ = limiter.pause(before: 1, from: "client \(number)", at: start - .seconds(1)) }
        #expect(limiter.pause(before: 20_000, from: "192.0.2.1", at: start) == 10)
    }
}
