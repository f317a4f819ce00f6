import Foundation
import System

/// Tells systemd how this process fares: datagrams to the socket that NOTIFY_SOCKET names (sd_notify(3)). Where that names
/// none, nothing is told.
public struct SystemdNotifier: Sendable {
    private let socket: String
    /// Whoever hears nothing for so long ends this process and starts another (sd_watchdog_enabled(3)); nil: nobody does.
    let watchdogTimeout: Duration?

    public enum Notice: String {
        case ready = "READY=1"
        case alive = "WATCHDOG=1"
        case stopping = "STOPPING=1"
    }

    /// As this process was started.
    public init() { self.init(environment: ProcessInfo.processInfo.environment) }

    init(environment: [String: String]) {
        socket = environment["NOTIFY_SOCKET", default: ""]
        let isMeant = environment["WATCHDOG_PID"].map { $0 == "\(getpid())" } ?? true
        let microseconds = environment["WATCHDOG_USEC"].flatMap { Int($0) }
        watchdogTimeout = isMeant ? microseconds.map { .microseconds($0) } : nil
    }

    /// That a notice can't be sent keeps no server from its work.
    public func tell(_ notices: Notice...) {
        guard !socket.isEmpty else { return }
        let number = Glibc.socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard number >= 0 else { return }
        let descriptor = Descriptor(owning: number, named: socket)
        // While systemd has no time for it, it is waited for, though not without end.
        var limit = timeval(tv_sec: 5, tv_usec: 0)
        setsockopt(number, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        let text = Array(notices.map(\.rawValue).joined(separator: "\n").utf8)
        _ = withSocketAddress(of: socket) { address, length in
            sendto(descriptor.number, text, text.count, Int32(MSG_NOSIGNAL), address, length)
        }
    }
}
