import Glibc

/// Signals that are waited for.
public struct SignalSet {
    private var set = sigset_t()

    public init(_ signals: Int32...) {
        sigemptyset(&set)
        for signal in signals { sigaddset(&set, signal) }
    }

    /// In this thread, and in those that it starts.
    public func block() {
        withUnsafePointer(to: set) { _ = pthread_sigmask(SIG_BLOCK, $0, nil) }
    }

    /// Waits until one of them arrives, or the time is over.
    public func arrive(withinSeconds seconds: Int) -> Bool {
        let limit = timespec(tv_sec: seconds, tv_nsec: 0)
        return withUnsafePointer(to: set) { set in
            withUnsafePointer(to: limit) { limit in
                var arrived: Int32
                // A debugger that attaches, or a SIGSTOP, interrupts it; the timeout then begins anew.
                repeat { arrived = sigtimedwait(set, nil, limit) } while arrived < 0 && errno == EINTR
                return arrived > 0
            }
        }
    }
}
