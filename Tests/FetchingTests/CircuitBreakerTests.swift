import Testing

@testable import Fetching

struct CircuitBreakerTests {
    private let start = ContinuousClock.now
    private let breaker = CircuitBreaker()

    private func allows(after seconds: Double) -> Bool { breaker.allows(at: start + .seconds(seconds)) }
    private func fail(after seconds: Double) { breaker.noteFailure(at: start + .seconds(seconds)) }

    @Test func `it lets all through until one fails`() {
        #expect(allows(after: 0) && allows(after: 0) && !breaker.isOpen)
        fail(after: 0)
        #expect(!allows(after: 0.9) && breaker.isOpen)
    }

    @Test func `silence counts where nothing was answered since the question`() {
        breaker.noteSilence(since: start, at: start + .seconds(5))
        #expect(breaker.isOpen)
        breaker.noteSuccess(at: start + .seconds(7))
        breaker.noteSilence(since: start + .seconds(6), at: start + .seconds(11))
        #expect(!breaker.isOpen)
        breaker.noteSilence(since: start + .seconds(8), at: start + .seconds(13))
        #expect(breaker.isOpen)
    }

    @Test func `after the pause one may try, and the others wait for what comes of it`() {
        fail(after: 0)
        #expect(allows(after: 1))
        #expect(!allows(after: 1.5))
        breaker.noteSuccess()
        #expect(allows(after: 1.5) && allows(after: 1.5))
    }

    @Test func `the pause doubles up to a minute`() {
        var now = 0.0
        for pause in [1.0, 2, 4, 8, 16, 32, 60, 60] {
            fail(after: now)
            #expect(!allows(after: now + pause - 0.1))
            now += pause
            #expect(allows(after: now))
        }
    }

    @Test func `it says whether a certificate was what kept it from being asked`() {
        #expect(breaker.listed == .asked)
        breaker.noteFailure(isUntrusted: true, at: start)
        #expect(breaker.listed == .untrusted)
        breaker.noteSuccess()
        #expect(breaker.listed == .asked)
        fail(after: 0)
        #expect(breaker.listed == .away)
    }

    @Test func `failures of requests that were under way together count once`() {
        for _ in 0..<50 { fail(after: 0) }
        #expect(allows(after: 1))
    }
}
