import Fixtures
import ShaCache
import Storage
import System
import Testing

@testable import Fetching

@Suite(.timeLimit(.minutes(15))) struct FetchTests {
    private let store: TestStore
    private let fetch: Fetch

    private static let size = 4 << 20
    private let now = ContinuousClock.now

    /// Half of it has come, in ten seconds.
    init() throws {
        store = try TestStore()
        let digest = Digest(bytes: [UInt8](repeating: 1, count: 64))
        fetch = Fetch(digest)
        let file = FetchedFile(try SpooledBody(of: digest, from: "far", in: store.files))
        fetch.beginReceiving(file, size: Self.size, received: 0, at: now - .seconds(10))
        fetch.noteReceived(Self.size / 2, at: now)
    }

    /// - Returns: whether a client that waits for so long is fed; then it is busy.
    private func feeds(within limit: Duration = .seconds(11), at time: Duration = .zero) -> Bool {
        fetch.beginFeeding(until: now + limit, at: now + time) != nil
    }

    private func fill() { for _ in 0..<2 * processorCount { #expect(feeds()) } }

    @Test func `a crowd waits for a blob that is soon whole, beside a few that are fed`() {
        fill()
        #expect(!feeds())
        fetch.endFeeding()
        #expect(feeds())
        #expect(!feeds())
        fetch.noteReceived(Self.size, at: now)
        #expect(!feeds(within: .milliseconds(1)))
        fetch.noteVerified(Self.size)
        #expect(!feeds())
    }

    @Test func `a client is fed when it has waited long enough, or would wait for longer`() {
        fill()
        #expect(feeds(within: .seconds(9)))
        // Nothing has come since.
        #expect(feeds(at: .seconds(2)))
        fetch.noteVerified(Self.size)
        #expect(!feeds())
        #expect(feeds(at: .seconds(11)))
    }

    @Test func `one that keeps up with the upstream keeps no other waiting`() throws {
        fill()
        let waiting = try Thread { [fetch] in
            _ = fetch.waitFed(atMost: .seconds(600)) { $0.received > Self.size / 2 ? true : nil }
        }
        while !feeds() {}
        fetch.noteReceived(Self.size * 3 / 4, at: now)
        waiting.join()
        #expect(!feeds())
        fetch.endFeeding()
        #expect(!feeds())
        fetch.endFeeding()
        #expect(feeds())
    }
}
