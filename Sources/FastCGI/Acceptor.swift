import CFastCGI
import Glibc

/// Takes one request after the other from a listener, for one thread.
public final class Acceptor {
    /// libfcgi keeps the address, so it is allocated and never moves.
    private let request: UnsafeMutablePointer<FCGX_Request>
    private let shutdown: Shutdown

    /// Once in each process: libfcgi takes SIGTERM, SIGUSR1 and SIGPIPE here.
    private static let library: Void = { FCGX_Init() }()

    public init(listener: Listener, shutdown: Shutdown) {
        Self.library
        self.shutdown = shutdown
        request = .allocate(capacity: 1)
        FCGX_InitRequest(request, listener.descriptor, FCGI_FAIL_ACCEPT_ON_INTR)
    }

    deinit {
        FCGX_Free(request, 1)
        request.deallocate()
    }

    /// Waits for a request and lends it to `body`; the connection closes when `body` returns.
    ///
    /// - Returns: what `body` returned; nil when a shutdown was requested.
    public func next<Result>(_ body: (borrowing FastCGIRequest) -> Result) -> Result? {
        while !shutdown.isRequested {
            let result = FCGX_Accept_r(request)
            if result == 0 {
                defer { finish() }
                return body(FastCGIRequest(request))
            }
            // Nothing came in time, or a signal. Anything else, such as a lack of descriptors, lasts for a while.
            if result != -EAGAIN && result != -EINTR { usleep(100_000) }
        }
        return nil
    }

    /// Sends what is left of the answer, and closes.
    private func finish() {
        drain()
        // Or libfcgi would shut its side down first and wait for nginx's end, in three more system calls.
        FCGX_Detach(request)
        FCGX_Finish_r(request)
    }

    /// Reads the request to its end: nginx takes an answer for broken when its own bytes were thrown away (unix(7): a
    /// socket that is closed with unread bytes resets its peer).
    private func drain() {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 4096) { buffer in
            while FCGX_GetStr(buffer.baseAddress, Int32(buffer.count), request.pointee.in) == buffer.count {}
        }
    }
}
