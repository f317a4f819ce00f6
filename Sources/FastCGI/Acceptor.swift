import CFastCGI
import CLinux
import Glibc

/// Takes one request after the other from a listener, for one thread.
public final class Acceptor {
    /// libfcgi keeps the address, so it is allocated and never moves.
    private let request: UnsafeMutablePointer<FCGX_Request>
    private let shutdown: Shutdown
    private let epoll: Int32

    /// Once in each process: libfcgi takes SIGTERM, SIGUSR1 and SIGPIPE here.
    private static let library: Void = { FCGX_Init() }()

    public init(listener: Listener, shutdown: Shutdown) {
        Self.library
        self.shutdown = shutdown
        request = .allocate(capacity: 1)
        FCGX_InitRequest(request, listener.descriptor, FCGI_FAIL_ACCEPT_ON_INTR)
        epoll = epoll_create1(Int32(EPOLL_CLOEXEC))
        // Exclusive: one connection wakes one thread, not all of them.
        watch(listener.descriptor, EPOLLIN.rawValue | EPOLLEXCLUSIVE.rawValue)
        watch(shutdown.signal, EPOLLIN.rawValue)
    }

    deinit {
        FCGX_Free(request, 1)
        request.deallocate()
        close(epoll)
    }

    private func watch(_ descriptor: Int32, _ events: UInt32) {
        var event = epoll_event(events: events, data: epoll_data_t(fd: descriptor))
        precondition(epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event) == 0, "a thread can watch its sockets")
    }

    /// Waits for a request and lends it to `body`; the connection closes when `body` returns.
    ///
    /// - Returns: what `body` returned; nil when a shutdown was requested.
    public func next<Result>(_ body: (borrowing FastCGIRequest) -> Result) -> Result? {
        while !shutdown.isRequested {
            let result = FCGX_Accept_r(request)
            if result == 0 {
                defer { FCGX_Finish_r(request) }
                return body(FastCGIRequest(request))
            }
            wait(after: result)
        }
        return nil
    }

    private func wait(after result: Int32) {
        guard result == -EAGAIN || result == -EINTR else {
            // Out of descriptors, say: the socket stays readable, so that waiting for it would spin.
            usleep(100_000)
            return
        }
        var event = epoll_event()
        epoll_wait(epoll, &event, 1, -1)
    }
}
