import System
import Testing

struct ClientBucketsTests {
    private let buckets = ClientBuckets(capacity: 20_000, rate: 2000)
    private let start = ContinuousClock.now

    @Test func `what they hold goes at once, and then what comes in`() {
        #expect(buckets.take(10_000, from: "192.0.2.1", at: start) == nil)
        #expect(buckets.take(10_000, from: "192.0.2.1", at: start) == nil)
        #expect(buckets.take(10_000, from: "192.0.2.1", at: start) == 5)
        #expect(buckets.take(1, from: "192.0.2.1", at: start) == 1)
        #expect(buckets.take(2000, from: "192.0.2.1", at: start + .seconds(1)) == nil)
        #expect(buckets.take(10_000, from: "192.0.2.1", at: start + .seconds(6)) == nil)
    }

    @Test func `what is refused costs nothing`() {
        buckets.take(20_000, from: "192.0.2.1", at: start)
        for _ in 0..<9 { #expect(buckets.take(2000, from: "192.0.2.1", at: start) == 1) }
        #expect(buckets.take(2000, from: "192.0.2.1", at: start + .seconds(1)) == nil)
    }

    @Test func `a look takes nothing`() {
        for _ in 0..<2 { #expect(buckets.delay(before: 20_000, from: "192.0.2.1", at: start) == nil) }
        buckets.take(20_000, from: "192.0.2.1", at: start)
        for _ in 0..<2 { #expect(buckets.delay(before: 2000, from: "192.0.2.1", at: start) == 1) }
        #expect(buckets.take(2000, from: "192.0.2.1", at: start + .seconds(1)) == nil)
    }

    @Test func `others are not held up, and a network of IPv6 is one client`() {
        buckets.take(20_000, from: "192.0.2.1", at: start)
        #expect(buckets.take(20_000, from: "192.0.2.2", at: start) == nil)
        #expect(buckets.take(20_000, from: "2001:db8::1", at: start) == nil)
        #expect(buckets.take(20_000, from: "2001:db8:0:0:ffff::2", at: start) == 10)
        #expect(buckets.take(20_000, from: "2001:db8:0:1::1", at: start) == nil)
    }

    @Test func `who is forgotten had nothing left to work off`() {
        buckets.take(20_000, from: "192.0.2.1", at: start)
        for number in 0..<10_001 { buckets.take(1, from: "client \(number)", at: start - .seconds(1)) }
        #expect(buckets.take(20_000, from: "192.0.2.1", at: start) == 10)
    }
}
