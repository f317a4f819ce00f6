import FastCGI
import Foundation

/// The two listening sockets of a worker. Which of them a request comes through decides what it may do.
struct Sockets {
    let lookups: Listener
    let uploads: Listener

    /// Takes them as systemd passes them (sd_listen_fds(3)): from descriptor 3 on, meant for this process.
    static func inherited() throws -> Sockets {
        let environment = ProcessInfo.processInfo.environment
        guard environment["LISTEN_FDS"] == "2", environment["LISTEN_PID"] == "\(getpid())" else {
            throw NoSockets()
        }
        return Sockets(lookups: Listener(inherited: 3), uploads: Listener(inherited: 4))
    }
}

struct NoSockets: Error, CustomStringConvertible {
    let description = """
        was not handed its two listening sockets
        shacached: hint: start it by systemd (shacached@1.service), or all of ShaCache by `make run`
        """
}
