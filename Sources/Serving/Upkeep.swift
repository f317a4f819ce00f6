import System

/// Work that is done at once, and then in each interval, by a thread of its own: what waits for a slow disk there keeps nobody
/// from ending the process, nor from telling that it is alive.
final class Upkeep: Sendable {
    private let isOver = Monitor(false)
    private let thread: System.Thread

    /// - Throws: when the system has no more threads.
    init(every interval: Duration, _ work: @escaping @Sendable () -> Void) throws(SystemError) {
        thread = try Thread { [isOver] in
            repeat { work() } while isOver.wait(atMost: interval) { $0 ? () : nil } == nil
        }
    }

    /// Returns when what was begun is done; once.
    func finish() {
        isOver.change { $0 = true }
        thread.join()
    }
}
