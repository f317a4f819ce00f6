import System
import Testing

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

struct TokenBucketEdgeTests {
    private let start = ContinuousClock.now
    private var bucket: TokenBucket { TokenBucket(capacity: 4, rate: 2, at: start) }

    @Test func `what isn't there costs nothing, and is said in seconds`() {
        var bucket = bucket
        #expect(bucket.pause(before: 3, at: start) == nil)
        for _ in 0..<3 { #expect(bucket.pause(before: 2, at: start) == 0.5) }
        #expect(bucket.pause(before: 1, at: start) == nil)
        #expect(bucket.pause(before: 1, at: start) == 0.5)
        #expect(bucket.pause(before: 4, at: start + .seconds(1)) == 1)
    }

    @Test func `after the pause it is there`() {
        var bucket = bucket
        _ = bucket.pause(before: 4, at: start)
        let pause = bucket.pause(before: 3, at: start) ?? 0
        #expect(pause == 1.5)
        var early = bucket
        #expect(early.pause(before: 3, at: start + .seconds(pause - 0.001)) != nil)
        #expect(bucket.pause(before: 3, at: start + .seconds(pause)) == nil)
    }

    @Test func `more than it holds is never there`() {
        var bucket = bucket
        #expect(bucket.pause(before: 5, at: start) == 0.5)
        #expect(bucket.pause(before: 5, at: start + .seconds(1000)) == 0.5)
    }

    @Test func `it is full when nothing is left to work off`() {
        var bucket = bucket
        #expect([bucket.isFull(at: start), bucket.spend(at: start)] == [true, true])
        let times = [0, 0.25, 0.5, 0.75].map { start + .seconds($0) }
        #expect(times.map { bucket.isFull(at: $0) } == [false, false, true, true])
    }

    /// Two threads read the clock, and come in the other order.
    @Test func `a time from a moment before neither gives nor takes`() {
        var bucket = bucket
        #expect(bucket.pause(before: 4, at: start + .seconds(1)) == nil)
        #expect(bucket.pause(before: 1, at: start) == 1.5)
        #expect(bucket.pause(before: 1, at: start + .seconds(1)) == 0.5)
        #expect(bucket.pause(before: 1, at: start + .seconds(1.5)) == nil)
    }
}
