import CFastCGI
import CLinux
import Foundation
import Glibc
import Synchronization

/// Takes one request after the other from a listener, for one thread.
public final class Acceptor {
    /// libfcgi keeps the address, so it is allocated and never moves.
    private let request: UnsafeMutablePointer<FCGX_Request>
    private let shutdown: Shutdown
    private let progress: AcceptProgress?

    /// Once in each process: libfcgi takes SIGTERM, SIGUSR1 and SIGPIPE here.
    private static let library: Void = { FCGX_Init() }()

    /// - Parameter progress: where it notes that it is ready for a request, as often as it is.
    public init(listener: Listener, shutdown: Shutdown, progress: AcceptProgress? = nil) {
        Self.library
        self.shutdown = shutdown
        self.progress = progress
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
        progress?.note()
        while !shutdown.isRequested {
            let result = FCGX_Accept_r(request)
            if result == 0 {
                defer { finish() }
                return body(FastCGIRequest(request))
            }
            if result == -EAGAIN || result == -EINTR {
                // Nothing came in time, or a signal.
                progress?.note()
            } else {
                // Anything else, such as a lack of descriptors, lasts for a while.
                usleep(100_000)
            }
        }
        return nil
    }

    /// Sends what is left of the answer, and closes.
    private func finish() {
        // Given up: nothing is left of it.
        guard request.pointee.in != nil else { return }
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

/// One request from nginx, for as long as its connection is open.
public struct FastCGIRequest: ~Copyable {
    let request: UnsafeMutablePointer<FCGX_Request>

    init(_ request: UnsafeMutablePointer<FCGX_Request>) { self.request = request }

    /// A parameter that nginx set; empty when it did not.
    public func bytes(_ name: String) -> [UInt8] {
        guard let value = FCGX_GetParam(name, request.pointee.envp) else { return [] }
        return Array(UnsafeRawBufferPointer(start: value, count: strlen(value)))
    }

    /// The same as text, in which what is not UTF-8 is replaced.
    public func text(_ name: String) -> String {
        guard let value = FCGX_GetParam(name, request.pointee.envp) else { return "" }
        return String(cString: value)
    }

    /// The body, which nginx has received before; what is beyond `limit` bytes isn't read.
    public func body(upTo limit: Int) -> [UInt8] {
        var body: [UInt8] = []
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 64 << 10) { piece in
            while body.count < limit {
                let count = FCGX_GetStr(
                    piece.baseAddress, Int32(min(piece.count, limit - body.count)), request.pointee.in)
                guard count > 0 else { break }
                body.append(contentsOf: UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(piece)[..<Int(count)]))
            }
        }
        return body
    }

    /// Sends status, headers and body. That the client has gone is no error.
    public func send(status: String, headers: [(name: String, value: String)], body: [UInt8]) {
        begin(status: status, headers: headers)
        body.withUnsafeBytes { _ = send($0) }
    }

    /// Sends status and headers of an answer whose body comes a piece at a time. That the client has gone is no error.
    public func begin(status: String, headers: [(name: String, value: String)]) {
        var head = "Status: \(status)\r\n"
        for (name, value) in headers { head += "\(name): \(value)\r\n" }
        head += "\r\n"
        Array(head.utf8).withUnsafeBytes { _ = send($0) }
    }

    /// Sends a piece of the body; waits for nginx to take it, which waits for its client.
    ///
    /// - Returns: false when nobody takes it any more.
    public func send(_ piece: UnsafeRawBufferPointer) -> Bool {
        FCGX_PutStr(
            piece.baseAddress?.assumingMemoryBound(to: CChar.self), Int32(piece.count), request.pointee.out) >= 0
    }

    /// Sends what was kept back for a whole record.
    ///
    /// - Returns: false when nobody takes it any more.
    public func flush() -> Bool { FCGX_FFlush(request.pointee.out) >= 0 }

    /// Whether nginx has closed the connection, as it does when its client has gone.
    public var isAbandoned: Bool {
        var descriptor = pollfd(fd: request.pointee.ipcFd, events: poll_rdhup, revents: 0)
        return poll(&descriptor, 1, 0) > 0
    }

    /// Ends the connection in the middle of an answer: without an end of the request, nginx tells its client that the
    /// answer is cut, as it does when this process is killed. Nothing can be sent any more.
    public func giveUp() { FCGX_Free(request, 1) }
}

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

/// Tells every thread to finish what it does and take nothing new.
public final class Shutdown: Sendable {
    private let isRequestedFlag = Atomic(false)

    public init() {}

    public var isRequested: Bool { isRequestedFlag.load(ordering: .acquiring) }

    public func request() { isRequestedFlag.store(true, ordering: .releasing) }
}
