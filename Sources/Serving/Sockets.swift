public import FastCGI
import Foundation
import Glibc

/// The listening sockets that a process was handed, by name.
public struct Sockets {
    private let listeners: [String: Listener]

    /// Takes them as systemd passes them (sd_listen_fds_with_names(3)): from descriptor 3 on, in any order, meant for
    /// this process. None when there are none.
    public static func inherited() -> Sockets {
        let environment = ProcessInfo.processInfo.environment
        let names = environment["LISTEN_FDNAMES", default: ""].split(separator: ":").map(String.init)
        guard environment["LISTEN_PID"] == "\(getpid())", environment["LISTEN_FDS"] == "\(names.count)" else {
            return Sockets(listeners: [:])
        }
        let listeners = names.enumerated().map { ($1, Listener(inherited: Int32(3 + $0))) }
        return Sockets(listeners: Dictionary(listeners) { first, _ in first })
    }

    /// - Throws: `MissingSocket` when it was not handed over.
    public func named(_ name: String) throws -> Listener {
        guard let listener = listeners[name] else { throw MissingSocket(name: name) }
        return listener
    }
}

public struct MissingSocket: Error, CustomStringConvertible {
    let name: String

    public var description: String {
        """
        was not handed its listening socket `\(name)`
        hint: start it by systemd, or all of ShaCache by `make run`
        """
    }
}

/// Signals that are waited for.
struct SignalSet {
    private var set = sigset_t()

    init(_ signals: Int32...) {
        sigemptyset(&set)
        for signal in signals { sigaddset(&set, signal) }
    }

    /// In this thread, and in those that it starts.
    func block() {
        withUnsafePointer(to: set) { _ = pthread_sigmask(SIG_BLOCK, $0, nil) }
    }

    /// Waits until one of them arrives, or the time is over.
    func arrive(within pause: Duration) -> Bool {
        let (seconds, attoseconds) = pause.components
        let limit = timespec(tv_sec: Int(seconds), tv_nsec: Int(attoseconds / 1_000_000_000))
        return withUnsafePointer(to: set) { set in
            withUnsafePointer(to: limit) { limit in
                var arrived: Int32
                // A debugger that attaches, or a SIGSTOP, interrupts it; the timeout then begins anew.
                repeat { arrived = sigtimedwait(set, nil, limit) } while arrived < 0 && errno == EINTR
                return arrived > 0
            }
        }
    }
}
