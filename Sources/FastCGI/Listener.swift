import CFastCGI
import Glibc

/// A listening socket that was handed to this process, and is shared with other workers and with the next generation
/// of this one: so it is never shut down here.
public struct Listener: Sendable {
    let descriptor: Int32

    /// - Parameter descriptor: inherited, listening. It becomes non-blocking, for all who share it.
    public init(inherited descriptor: Int32) { self.descriptor = descriptor }

    /// Once in each process, before its threads: libfcgi takes SIGTERM, SIGUSR1 and SIGPIPE here.
    public static func prepareProcess(listeners: [Listener]) {
        FCGX_Init()
        for listener in listeners {
            // Several threads see one connection come; those that come too late must not be stuck in accept(),
            // where no shutdown reaches them.
            let flags = fcntl(listener.descriptor, F_GETFL)
            _ = fcntl(listener.descriptor, F_SETFL, flags | O_NONBLOCK)
            _ = fcntl(listener.descriptor, F_SETFD, FD_CLOEXEC)
        }
    }
}
