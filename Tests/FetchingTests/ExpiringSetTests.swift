import Testing

@testable import Fetching

struct ExpiringSetTests {
    private let start = ContinuousClock.now

    @Test func `it remembers for a while`() {
        let set = ExpiringSet<Int>(limit: 10)
        set.insert(1, for: .seconds(5), at: start)
        #expect(set.contains(1, at: start + .seconds(4)))
        #expect(!set.contains(1, at: start + .seconds(5)))
        #expect(!set.contains(2, at: start))
    }

    @Test func `of more than fit, the oldest are forgotten`() {
        let set = ExpiringSet<Int>(limit: 100)
        for number in 0..<1000 { set.insert(number, for: .seconds(1000 + number), at: start) }
        #expect((0..<1000).count { set.contains($0, at: start) } <= 100)
        #expect(set.contains(999, at: start))
    }
}
