import FastCGI
import Foundation

/// The two listening sockets of a worker, each with threads of its own: so uploads can't keep lookups waiting.
struct Sockets {
    let lookups: Listener
    let uploads: Listener

    /// Takes them as systemd passes them (sd_listen_fds_with_names(3)): from descriptor 3 on, in any order, meant for
    /// this process.
    static func inherited() throws -> Sockets {
        let environment = ProcessInfo.processInfo.environment
        let names = environment["LISTEN_FDNAMES", default: ""].split(separator: ":")
        guard environment["LISTEN_PID"] == "\(getpid())", environment["LISTEN_FDS"] == "\(names.count)",
            let lookups = names.firstIndex(of: "read"), let uploads = names.firstIndex(of: "write")
        else { throw NoSockets() }
        return Sockets(
            lookups: Listener(inherited: Int32(3 + lookups)), uploads: Listener(inherited: Int32(3 + uploads)))
    }
}

struct NoSockets: Error, CustomStringConvertible {
    let description = """
        was not handed its two listening sockets
        shacached: hint: start it by systemd (shacached@1.service), or all of ShaCache by `make run`
        """
}
