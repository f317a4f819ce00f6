import Glibc
import Testing

@testable import HTTP

struct SilenceWatchTests {
    // SilenceWatch.hear: fewer bytes than 1,000 a second don't begin the time anew.
    @Test func `what hardly comes is as good as nothing`() {
        let (silent, slow, fast) = (SilenceWatch(limit: 1), SilenceWatch(limit: 1), SilenceWatch(limit: 1))
        usleep(600_000)
        slow.hear(900)
        fast.hear(1000)
        usleep(600_000)
        #expect(silent.isOver && slow.isOver && !fast.isOver)
        slow.restart()
        #expect(!slow.isOver)
    }

    @Test func `a host's second address gets a turn`() {
        #expect(SilenceWatch(limit: 15).connectLimit == 10)
    }
}
