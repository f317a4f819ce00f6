import Glibc
import Synchronization

/// Tells every thread at once to finish what it does and take nothing new.
public final class Shutdown: Sendable {
    private let isRequestedFlag = Atomic(false)
    /// Readable, that is at its end, once a shutdown was requested: what a waiting thread watches.
    let signal: Int32
    private let writeEnd: Int32

    public init() {
        var ends: [Int32] = [-1, -1]
        precondition(pipe(&ends) == 0, "a process that starts has two descriptors left")
        (signal, writeEnd) = (ends[0], ends[1])
    }

    public var isRequested: Bool { isRequestedFlag.load(ordering: .acquiring) }

    public func request() {
        guard !isRequestedFlag.exchange(true, ordering: .acquiringAndReleasing) else { return }
        close(writeEnd)
    }
}
