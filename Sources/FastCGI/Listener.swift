import Glibc

/// A listening socket that was handed to this process, and is shared with other workers and with the next generation
/// of this one: so it is never shut down here.
public struct Listener: Sendable {
    let descriptor: Int32

    /// How long a thread waits for a connection before it looks whether a shutdown was requested.
    private static let acceptTimeout = timeval(tv_sec: 0, tv_usec: 500_000)

    /// - Parameter descriptor: inherited, listening. It blocks, for all who share it: of the threads that wait in
    ///   accept(2), the kernel wakes one for each connection, and that one finds it. With epoll(7), even exclusive, a
    ///   thread that has just answered takes the connection first, and the one that was woken comes for nothing.
    public init(inherited descriptor: Int32) {
        self.descriptor = descriptor
        _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) & ~O_NONBLOCK)
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        withUnsafePointer(to: Self.acceptTimeout) {
            _ = setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, $0, socklen_t(MemoryLayout<timeval>.size))
        }
    }
}
