import Glibc

/// A thread of the system.
public struct Thread: Sendable {
    private let handle: pthread_t

    private final class Work: Sendable {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }

    /// - Throws: when the system has no more threads.
    public init(_ body: @escaping @Sendable () -> Void) throws(SystemError) {
        let work = Unmanaged.passRetained(Work(body))
        var handle = pthread_t()
        let code = pthread_create(
            &handle, nil,
            { argument in
                Unmanaged<Work>.fromOpaque(argument!).takeRetainedValue().body()
                return nil
            }, work.toOpaque())
        guard code == 0 else {
            work.release()
            throw SystemError("start a thread", errno: code)
        }
        self.handle = handle
    }

    /// Waits for its end; once.
    public func join() { pthread_join(handle, nil) }

    /// Instead of `join`: its end is not waited for.
    public func detach() { pthread_detach(handle) }
}
