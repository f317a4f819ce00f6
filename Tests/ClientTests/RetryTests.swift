import Synchronization
import Testing

@testable import Client
@testable import HTTP

/// Plays answers to a retry, and keeps how long it would have waited between them.
private final class Play {
    /// What comes next: a status, with Retry-After, or a failure.
    enum Event {
        case status(Int, String? = nil)
        case failure(HTTPFailure.Cause)
    }

    private let pauses = Pauses()
    private(set) var tries = 0

    /// - Parameter events: one for each try; the last one stays.
    /// - Returns: the status that came out, or the kind of the failure.
    func run(
        _ events: [Event], limit: Int = 4, hasAlternative: Bool = false, isFollowed: Bool = false,
        watch: SilenceWatch? = nil, hasProgressed: () -> Bool = { false }
    ) -> Result<Int, Failed> {
        let reporter = Reporter(warn: { _ in }, note: { _ in }, progress: { _ in })
        let retry = Retry(limit: limit, hasAlternative: hasAlternative, isFollowed: isFollowed, reporter: reporter) {
            [pauses] in pauses.add($0)
        }
        do {
            return .success(
                try retry(watch, hasProgressed: hasProgressed) { () throws in
                    defer { tries += 1 }
                    switch events[min(tries, events.count - 1)] {
                    case .status(let status, let pause):
                        let headers = pause.map { ["retry-after": $0] } ?? [:]
                        return HTTPResponse(head: Head(status: status, headers: headers), body: [])
                    case .failure(let kind): throw HTTPFailure(kind, "failed")
                    }
                }.status)
        } catch {
            return .failure(Failed(kind: (error as? HTTPFailure)?.kind))
        }
    }

    struct Failed: Error, Equatable {
        let kind: HTTPFailure.Cause?
    }

    /// In seconds.
    var waited: [Int] { pauses.all }
}

private final class Pauses: Sendable {
    private let seconds = Mutex<[Int]>([])

    var all: [Int] { seconds.withLock { $0 } }

    func add(_ pause: Int) { seconds.withLock { $0.append(pause) } }
}

struct RetryTests {
    private let play = Play()

    @Test func `what succeeds isn't sent again`() {
        #expect(play.run([.status(200)]) == .success(200))
        #expect(play.tries == 1 && play.waited.isEmpty)
    }

    @Test func `pauses double, and the last answer is given`() {
        #expect(play.run([.status(503)]) == .success(503))
        #expect(play.tries == 5 && play.waited == [1, 2, 4, 8])
    }

    @Test func `no pause is longer than five minutes`() {
        #expect(play.run([.status(503)], limit: 20) == .success(503))
        #expect(play.waited == [1, 2, 4, 8, 16, 32, 64, 128, 256] + Array(repeating: 300, count: 11))
    }

    @Test func `without tries nothing is waited for`() {
        #expect(play.run([.status(503)], limit: 0) == .success(503))
        #expect(play.run([.failure(.unreachable)], limit: 0) == .failure(Play.Failed(kind: .unreachable)))
        #expect(play.waited.isEmpty)
    }

    @Test(arguments: [408, 425, 429, 500, 502, 503, 504]) func `trouble may pass`(_ status: Int) {
        #expect(
            play.run([.status(status), .failure(.interrupted), .failure(.unreachable), .status(201)]) == .success(201))
        #expect(play.waited == [1, 2, 4])
    }

    @Test(arguments: [200, 204, 206, 301, 304, 400, 401, 403, 404, 405, 409, 410, 411, 412, 413, 416, 501, 505, 507])
    func `other answers stay what they are`(_ status: Int) {
        #expect(play.run([.status(status)]) == .success(status))
        #expect(play.tries == 1)
    }

    @Test(arguments: [HTTPFailure.Cause.silent, .notTheFile, .redirect, .certificate, .misuse])
    func `failures that another try can't help come out at once`(_ kind: HTTPFailure.Cause) {
        #expect(play.run([.failure(kind)]) == .failure(Play.Failed(kind: kind)))
        #expect(play.tries == 1 && play.waited.isEmpty)
    }

    @Test func `where another cache is next, one that takes no connection is left to it at once`() {
        #expect(play.run([.failure(.unreachable)], isFollowed: true) == .failure(Play.Failed(kind: .unreachable)))
        #expect(play.tries == 1 && play.waited.isEmpty)
        let other = Play()
        #expect(other.run([.failure(.interrupted), .status(200)], isFollowed: true) == .success(200))
        #expect(other.waited == [1])
    }

    @Test(arguments: [
        ("7", 7), ("300", 300), ("0", 1), ("-5", 1), ("Sun, 06 Nov 1994 08:49:37 GMT", 1), ("soon", 1), ("", 1),
    ])
    func `a server says how long, within reason`(_ text: String, _ pause: Int) {
        #expect(play.run([.status(503, text), .status(200)]) == .success(200))
        #expect(play.waited == [pause])
    }

    @Test(arguments: ["301", "Fri, 31 Dec 9999 23:59:59 GMT"])
    func `a server that asks for more than five minutes gets none`(_ text: String) {
        #expect(play.run([.status(503, text)]) == .success(503))
        #expect(play.tries == 1)
    }

    @Test func `what progresses has all its tries again`() {
        var left = 3
        func hasProgressed() -> Bool {
            left -= 1
            return left >= 0
        }
        let result = play.run([.failure(.interrupted)], limit: 2, hasProgressed: hasProgressed)
        #expect(result == .failure(Play.Failed(kind: .interrupted)))
        #expect(play.waited == [1, 1, 1, 2])
    }

    @Test func `a server that was silent for all its time isn't asked again, and a busy one is`() {
        #expect(
            play.run([.failure(.unreachable)], watch: SilenceWatch(limit: 0))
                == .failure(Play.Failed(kind: .unreachable)))
        #expect(play.waited.isEmpty)
        #expect(play.run([.status(503)], limit: 1, watch: SilenceWatch(limit: 0)) == .success(503))
        #expect(play.waited == [1])
    }

    @Test func `where somebody else has it, a busy server gets no more time than a silent one`() {
        #expect(play.run([.status(503)], hasAlternative: true, watch: SilenceWatch(limit: 0)) == .success(503))
        // Less than it asks for is left.
        #expect(play.run([.status(503, "200")], hasAlternative: true, watch: SilenceWatch(limit: 100)) == .success(503))
        #expect(play.waited.isEmpty)
        #expect(play.run([.status(503, "200")], limit: 1, watch: SilenceWatch(limit: 100)) == .success(503))
        #expect(play.waited == [200])
    }

    /// Whether the time begins anew is seen by whether what was heard is still counted.
    @Test func `the pause that a busy server asks for is none of its time`() {
        let watch = SilenceWatch(limit: 1000)
        watch.hear(10)
        _ = play.run([.failure(.unreachable), .failure(.unreachable)], limit: 1, watch: watch)
        #expect(watch.words == "sent 10 bytes in 1000 s")
        _ = Play().run([.status(503)], limit: 1, hasAlternative: true, watch: watch)
        #expect(watch.words == "sent 10 bytes in 1000 s")
        _ = Play().run([.status(503)], limit: 1, watch: watch)
        #expect(watch.words == "no answer for 1000 s")
    }
}
