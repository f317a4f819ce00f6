public import FastCGI
import Foundation

/// The threads of a server process. Each owns what its work needs, and takes one request after the other.
public struct ThreadPool {
    private let shutdown = Shutdown()
    private let atWork = DispatchGroup()

    public init() {}

    /// What a thread does with a request, and, when its client has the answer, afterwards.
    public typealias Responder = (borrowing FastCGIRequest) -> () -> Void

    /// - Parameter makeResponder: called once in each thread, for what that thread alone is to own.
    public func start(_ count: Int, on listener: Listener, _ makeResponder: @escaping @Sendable () -> Responder) {
        for _ in 0..<count {
            atWork.enter()
            Thread { [shutdown, atWork] in
                let acceptor = Acceptor(listener: listener, shutdown: shutdown)
                let respond = makeResponder()
                while let conclude = acceptor.next({ respond($0) }) { conclude() }
                atWork.leave()
            }.start()
        }
    }

    /// Returns when every thread has answered what it had accepted.
    public func finish() {
        shutdown.request()
        atWork.wait()
    }
}
