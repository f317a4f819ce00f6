import Foundation
import Synchronization

/// The threads of a server process. Each owns what its work needs, and takes one request after the other.
public final class ThreadPool {
    private let shutdown = Shutdown()
    private let starting = DispatchGroup()
    private let atWork = DispatchGroup()
    /// Of each socket.
    private var progress: [AcceptProgress] = []

    public init() {}

    /// What a thread does with a request, and, when its client has the answer, afterwards.
    public typealias Responder = (borrowing FastCGIRequest) -> () -> Void

    /// - Parameter makeResponder: called once in each thread, for what that thread alone is to own.
    public func start(_ count: Int, on listener: Listener, _ makeResponder: @escaping @Sendable () -> Responder) {
        let progress = AcceptProgress()
        self.progress.append(progress)
        for _ in 0..<count {
            starting.enter()
            atWork.enter()
            Thread { [shutdown, starting, atWork] in
                let acceptor = Acceptor(listener: listener, shutdown: shutdown, progress: progress)
                let respond = makeResponder()
                starting.leave()
                while let conclude = acceptor.next({ respond($0) }) { conclude() }
                atWork.leave()
            }.start()
        }
    }

    /// Returns when every thread takes requests.
    public func waitUntilAccepting() { starting.wait() }

    /// For how long no thread of a socket has been ready for the next request, of the socket with the longest such time.
    /// Threads that have nothing to do are ready every half second.
    public var stall: Duration { progress.map(\.age).max() ?? .zero }

    /// Returns when every thread has answered what it had accepted.
    public func finish() {
        shutdown.request()
        atWork.wait()
    }
}

/// When a thread of a socket was last ready for a request.
public final class AcceptProgress: Sendable {
    private let start = SuspendingClock.now
    /// Nanoseconds since the start.
    private let latest = Atomic(0)

    func note() { latest.store(elapsed, ordering: .relaxed) }

    var age: Duration { .nanoseconds(elapsed - latest.load(ordering: .relaxed)) }

    private var elapsed: Int { Int(start.duration(to: .now) / .nanoseconds(1)) }
}
