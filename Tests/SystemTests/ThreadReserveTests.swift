import Glibc
import System
import Testing

struct ThreadReserveTests {
    private let reserve = ThreadReserve(limit: 2)

    @Test func `each piece of work has a thread, however many others wait`() throws {
        let arrived = Monitor(0)
        for _ in 0..<10 {
            try reserve.start {
                arrived.change { $0 += 1 }
                arrived.wait { $0 == 10 ? () : nil }
            }
        }
        arrived.wait { $0 == 10 ? () : nil }
    }

    @Test func `a thread that has done its work takes another piece`() throws {
        let threads = Monitor<[String]>([])
        for count in 1...20 {
            try reserve.start { threads.change { $0.append(resolvedPath("/proc/thread-self")) } }
            threads.wait { $0.count == count ? () : nil }
            usleep(10_000)  // until it is idle
        }
        #expect(Set(threads.changeQuietly { $0 }).count < 20)
    }

    private final class Held: Sendable {
        let isGone: Monitor<Int>

        init(_ isGone: Monitor<Int>) { self.isGone = isGone }

        deinit { isGone.change { $0 += 1 } }
    }

    @Test func `what a piece of work holds is let go with it`() throws {
        let gone = Monitor(0)
        for _ in 1...5 {
            let held = Held(gone)
            try reserve.start { withExtendedLifetime(held) {} }
        }
        #expect(gone.wait(atMost: .seconds(20)) { $0 == 5 ? () : nil } != nil)
    }
}

private func resolvedPath(_ path: String) -> String {
    let name = realpath(path, nil)!
    defer { free(name) }
    return String(cString: name)
}
