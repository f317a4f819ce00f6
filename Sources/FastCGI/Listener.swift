import Glibc

/// A listening socket that was handed to this process, and is shared with other workers and with the next generation
/// of this one: so it is never shut down here.
public struct Listener: Sendable {
    let descriptor: Int32

    /// - Parameter descriptor: inherited, listening. It becomes non-blocking, for all who share it: several threads
    ///   see one connection come, and those that come too late must not be stuck in accept(), where no shutdown
    ///   reaches them.
    public init(inherited descriptor: Int32) {
        self.descriptor = descriptor
        _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
    }
}
