import Glibc
import Storage
import System

/// The record of what upstreams gave.
extension Fetcher {
    /// In seconds.
    private static let interval: UInt32 = 5

    /// Writes it down again and again, as long as the process runs.
    ///
    /// - Throws: `SystemError` when the system has no more threads.
    public func startRecord() throws {
        try Thread { [self] in
            while true {
                sleep(Self.interval)
                writeRecord()
            }
        }.detach()
    }

    public func writeRecord() {
        for server in servers {
            do {
                let isAway = server.breaker.isOpen
                try server.ledger.flush(isAway: isAway) { sums, faults in
                    try database.withSession {
                        try UpstreamRecord($0).add(sums, faults, of: server.name, isAway: isAway, on: files.host)
                    }
                }
            } catch {
                log.error("upstreams not recorded", metadata: ["upstream": "\(server.name)", "cause": "\(error)"])
            }
        }
    }
}
