import Synchronization

/// Tells every thread to finish what it does and take nothing new.
public final class Shutdown: Sendable {
    private let isRequestedFlag = Atomic(false)

    public init() {}

    public var isRequested: Bool { isRequestedFlag.load(ordering: .acquiring) }

    public func request() { isRequestedFlag.store(true, ordering: .releasing) }
}
